-- Roles, databases, a tablespace. psql's variable `tablespace` is its directory.
CREATE ROLE app LOGIN PASSWORD 'it''s "app" \ $$';
CREATE ROLE "O'Brien, ""Ops"" \ 7" LOGIN CREATEDB PASSWORD 'x';
CREATE ROLE readers NOLOGIN;
GRANT readers TO app;
COMMENT ON ROLE readers IS 'may; ''read''';
CREATE TABLESPACE elsewhere OWNER app LOCATION :'tablespace';
CREATE DATABASE app_db OWNER app;
CREATE DATABASE "we'ird ""db" TEMPLATE template0;
CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE left_out;
REVOKE CONNECT ON DATABASE app_db FROM PUBLIC;
GRANT CONNECT ON DATABASE app_db TO readers;
-- Each changes how values read as text.
ALTER DATABASE app_db SET timezone = 'Asia/Kathmandu';
ALTER DATABASE "we'ird ""db" SET bytea_output = 'escape';
ALTER DATABASE "we'ird ""db" SET datestyle = 'German, DMY';
ALTER ROLE app IN DATABASE app_db SET search_path = 'sales', 'public';

-- Roles, memberships, databases and their settings. Run outside a transaction, one statement at a time:
-- a statement ends with a semicolon at the end of a line, and no comment or literal ends a line that way.

-- By name, the order in which pg_dumpall makes them: what lists roles in the order of their OIDs stays the same.
CREATE ROLE "O'Brien, ""Ops"" \ 7" LOGIN CREATEDB VALID UNTIL '2038-01-19 03:14:07+00';
CREATE ROLE "Shop Lead" LOGIN CREATEROLE;
CREATE ROLE analyst LOGIN NOINHERIT PASSWORD 'analyst';
CREATE ROLE auditor NOLOGIN BYPASSRLS;
CREATE ROLE intern LOGIN PASSWORD NULL;
CREATE ROLE shop_app LOGIN PASSWORD 'it''s; a "secret" \ with $$ signs' CONNECTION LIMIT 40;
CREATE ROLE shop_owner NOLOGIN;
CREATE ROLE shop_reader NOLOGIN;
CREATE ROLE shop_writer NOLOGIN NOINHERIT;

GRANT shop_reader TO shop_writer;
GRANT shop_writer TO shop_app;
GRANT shop_reader TO "Shop Lead" WITH ADMIN OPTION;
GRANT shop_writer TO "Shop Lead" WITH ADMIN OPTION;
GRANT shop_reader TO intern GRANTED BY "Shop Lead";
GRANT shop_reader, auditor TO analyst;
GRANT pg_monitor TO "O'Brien, ""Ops"" \ 7";

COMMENT ON ROLE shop_app IS 'The web shop; it''s the only role with a known password.';
COMMENT ON ROLE "O'Brien, ""Ops"" \ 7" IS 'A name that needs quoting everywhere.';

-- template0, because the encoding is named.
CREATE DATABASE shop OWNER shop_owner TEMPLATE template0 ENCODING 'UTF8';
CREATE DATABASE "Analytics db" OWNER analyst TEMPLATE template0 ENCODING 'UTF8' CONNECTION LIMIT 50;
CREATE DATABASE legacy TEMPLATE template0 ENCODING 'UTF8';

COMMENT ON DATABASE shop IS 'What we sell; who''s buying.';
COMMENT ON DATABASE "Analytics db" IS 'Its name needs quotes, so \connect takes its other form.';

REVOKE CONNECT, TEMPORARY ON DATABASE shop FROM PUBLIC;
GRANT CONNECT ON DATABASE shop TO shop_reader, shop_app, "O'Brien, ""Ops"" \ 7";
GRANT TEMPORARY ON DATABASE shop TO shop_writer WITH GRANT OPTION;
GRANT CREATE ON DATABASE legacy TO "Shop Lead";

-- Each of these changes how a session writes values as text: reading back has to cope.
ALTER DATABASE shop SET search_path = 'sales', 'public';
ALTER DATABASE "Analytics db" SET TimeZone = '<+0545>-05:45';
ALTER DATABASE "Analytics db" SET extra_float_digits = 0;
ALTER DATABASE legacy SET DateStyle = 'German, DMY';
ALTER DATABASE legacy SET IntervalStyle = 'iso_8601';
ALTER DATABASE legacy SET bytea_output = 'escape';
ALTER ROLE shop_app SET statement_timeout = '30s';
ALTER ROLE analyst SET work_mem = '32MB';
ALTER ROLE analyst IN DATABASE "Analytics db" SET search_path = '"Click Stream"', 'public';
ALTER ROLE "O'Brien, ""Ops"" \ 7" IN DATABASE shop SET application_name = 'it''s O''Brien';

-- Three databases as applications have them: orders and what belongs to them, a log, and a list. psql's variable `scale` is
-- in hundredths of about a gigabyte of dump text. Every value follows from a row number.
CREATE ROLE shop_owner LOGIN;
CREATE ROLE reader;
CREATE DATABASE shop OWNER shop_owner;
CREATE DATABASE events;
CREATE DATABASE crm;

\connect shop
CREATE SCHEMA sales;
CREATE TABLE sales.customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE, name text, created timestamptz NOT NULL, notes jsonb);
INSERT INTO sales.customers (email, name, created, notes)
    SELECT 'user' || i || '@example.com', md5(i::text), timestamptz '2020-01-01' + i * interval '3 min', jsonb_build_object('n', i, 'tag', md5((i * 7)::text))
    FROM generate_series(1, :scale * 3000) AS i;
CREATE TABLE sales.orders (id bigserial PRIMARY KEY, customer bigint NOT NULL REFERENCES sales.customers (id), at timestamptz NOT NULL, state text NOT NULL, total numeric(12, 2), comment text);
INSERT INTO sales.orders (customer, at, state, total, comment)
    SELECT 1 + (i * 7919::bigint) % (:scale * 3000), timestamptz '2021-01-01' + i * interval '17 s', (array['new', 'paid', 'sent', 'done'])[1 + i % 4], (i % 100000) / 100.0, md5(i::text) || md5((i + 1)::text)
    FROM generate_series(1, :scale * 30000) AS i;
CREATE INDEX ON sales.orders (customer);
CREATE INDEX ON sales.orders (at);
CREATE TABLE sales.items (order_id bigint NOT NULL, pos int NOT NULL, sku text NOT NULL, qty int, price numeric(10, 2), PRIMARY KEY (order_id, pos));
INSERT INTO sales.items SELECT 1 + i / 2, i % 2, 'SKU-' || (i * 31::bigint) % 50000, 1 + i % 9, (i % 9999) / 100.0 FROM generate_series(0, :scale * 40000 - 1) AS i;
GRANT SELECT ON ALL TABLES IN SCHEMA sales TO reader;

\connect events
CREATE TABLE log (at timestamptz NOT NULL, host text, level int, message text, payload jsonb);
INSERT INTO log
    SELECT timestamptz '2022-01-01' + i * interval '1 s', 'host' || i % 100, i % 5, md5(i::text) || ' ' || md5((i * 3)::text) || ' ' || md5((i * 5)::text), jsonb_build_object('i', i, 'x', md5((i * 11)::text))
    FROM generate_series(1, :scale * 16000) AS i;
CREATE INDEX ON log (at);

\connect crm
CREATE TABLE contacts (id int PRIMARY KEY, name text, phone text, x float8, y float8);
INSERT INTO contacts SELECT i, md5(i::text), '+49' || i, i / 3.0, i / 7.0 FROM generate_series(1, :scale * 15000) AS i;
CREATE INDEX ON contacts (name);

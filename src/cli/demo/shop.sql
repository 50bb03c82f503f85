-- Database "shop": the largest part, and what an ordinary application has. Sent whole, as one implicit transaction.
-- Every value follows from a row number, so two runs give the same rows.

SET ROLE shop_owner;
SET TimeZone = 'UTC';

CREATE SCHEMA sales;
CREATE SCHEMA "Odd Names";
COMMENT ON SCHEMA sales IS 'Orders,
and who placed them; "quoted" and it''s two lines.';

-- Before any table, so that they shape the privileges of what follows.
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA sales GRANT SELECT ON TABLES TO shop_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA sales GRANT INSERT, UPDATE ON TABLES TO shop_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA sales GRANT USAGE ON SEQUENCES TO shop_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner REVOKE USAGE ON TYPES FROM PUBLIC;
GRANT USAGE ON SCHEMA sales TO shop_reader, "O'Brien, ""Ops"" \ 7";
GRANT USAGE, CREATE ON SCHEMA sales TO shop_writer WITH GRANT OPTION;
GRANT USAGE ON SCHEMA "Odd Names" TO PUBLIC;

CREATE TYPE sales.order_state AS ENUM ('new', 'paid', 'in transit', 'it''s back', 'Lost; "sorry"');
CREATE TYPE sales.address AS (street text, "Post Code" varchar(12), lines text[], location point);
CREATE TYPE sales.price_range AS RANGE (subtype = numeric);
CREATE DOMAIN sales.email AS text CONSTRAINT "has an @" CHECK (VALUE ~ '^[^@\s]+@[^@\s]+$');
CREATE DOMAIN sales.amount AS numeric(14, 2) DEFAULT 0 NOT NULL CONSTRAINT amount_not_negative CHECK (VALUE >= 0);
COMMENT ON TYPE sales.order_state IS 'It''s an enum; \. is not a state';
COMMENT ON DOMAIN sales.email IS E'One @.\nNo\tblanks.';
GRANT USAGE ON TYPE sales.order_state, sales.address TO shop_reader;
GRANT USAGE ON TYPE sales.email, sales.amount TO PUBLIC;

-- Bodies that end other people's parsers: semicolons, quotes, nested dollar quotes, CASE ... END inside BEGIN ATOMIC.
CREATE FUNCTION sales.vat(net numeric, rate numeric) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    AS $$ SELECT round(net * (1 + rate), 2); $$;
CREATE FUNCTION sales.size_class(quantity integer) RETURNS text LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT CASE WHEN quantity < 0 THEN 'returned; "sorry"'
                WHEN quantity < 10 THEN CASE quantity WHEN 1 THEN 'one' ELSE 'few' END
                ELSE 'many' END;
END;
CREATE FUNCTION sales.two_steps(INOUT n bigint, OUT twice bigint) LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT 1 AS "end";
    SELECT n, n * 2;
END;
CREATE FUNCTION sales.quotes(who text DEFAULT 'it''s; me') RETURNS text LANGUAGE plpgsql STABLE AS $body$
DECLARE
    "semi;colon" text := $$; 'single' "double" $$;
    nested text := $_$ $1 -- no comment $_$;
BEGIN
    /* not /* nested */ in here; */
    IF who = E'\\.' THEN
        RETURN '
\.
\connect postgres
';
    END IF;
    -- it's a comment; with a quote
    RETURN "semi;colon" || nested || who;
END;
$body$;
CREATE FUNCTION sales.old_quotes() RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''it''''s; $$ old $$''::text';
CREATE FUNCTION sales.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed := coalesce(NEW.changed, 0) + 1;
    RETURN NEW;
END;
$$;
COMMENT ON FUNCTION sales.quotes(text) IS '
-- PostgreSQL database dump complete
\.
It''s inside a comment.';
CREATE PROCEDURE sales.close_orders(before timestamptz, INOUT closed bigint DEFAULT 0) LANGUAGE plpgsql AS $proc$
BEGIN
    UPDATE sales.orders SET state = 'paid' WHERE state = 'new' AND placed_at < before;
    GET DIAGNOSTICS closed = ROW_COUNT;
END;
$proc$;
GRANT EXECUTE ON FUNCTION sales.vat(numeric, numeric) TO PUBLIC;
GRANT EXECUTE ON FUNCTION sales.size_class(integer) TO shop_reader WITH GRANT OPTION;
GRANT EXECUTE ON PROCEDURE sales.close_orders(timestamptz, bigint) TO shop_writer;

CREATE TABLE sales.customers (
    id bigint GENERATED ALWAYS AS IDENTITY (START WITH 1000 INCREMENT BY 1 CACHE 20),
    email sales.email NOT NULL,
    name text NOT NULL,
    "Display Name" text GENERATED ALWAYS AS (upper(name) || ' <' || email || '>') STORED,
    tags text[] DEFAULT '{}' NOT NULL,
    home sales.address,
    attributes jsonb DEFAULT '{"a;b": "it''s"}' NOT NULL,
    joined timestamptz NOT NULL,
    note text
);
INSERT INTO sales.customers (email, name, tags, home, attributes, joined, note)
SELECT 'customer' || i || '@example.org', (ARRAY['Zoë', 'Łukasz', '数据', 'O''Brien', 'Ann'])[1 + i % 5] || ' ' || substr(md5(i::text), 1, 8),
       CASE i % 4 WHEN 0 THEN '{}' WHEN 1 THEN ARRAY['new'] WHEN 2 THEN ARRAY['a "b"', NULL, 'c,d', 'e\f'] ELSE ARRAY['', 'NULL'] END,
       CASE WHEN i % 3 > 0 THEN ROW('Street ' || i, (10000 + i % 80000)::text, ARRAY['line "1"', NULL], point(i % 180, i % 90))::sales.address END,
       jsonb_build_object('n', i, 'deep', jsonb_build_array(i % 7, NULL, 'tab' || chr(9) || 'end')),
       timestamptz '2021-03-28 00:59:59+00' + i * interval '17 minutes 3.000001 seconds',
       CASE i % 50 WHEN 0 THEN '' WHEN 1 THEN E'two\nlines' WHEN 2 THEN E'tab\there' WHEN 3 THEN E'back\\slash' WHEN 4 THEN 'a; ''quoted'' "note"' END
FROM generate_series(1, 120000) AS i;

CREATE TABLE sales.products (
    id integer GENERATED BY DEFAULT AS IDENTITY (START WITH 5 INCREMENT BY 5 MINVALUE 5 MAXVALUE 2000000 CYCLE),
    name text COLLATE "C" NOT NULL,
    price sales.amount,
    bulk sales.price_range,
    words tsvector GENERATED ALWAYS AS (to_tsvector('pg_catalog.simple'::regconfig, name)) STORED,
    picture bytea,
    parent integer
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
INSERT INTO sales.products (name, price, bulk, picture, parent)
SELECT 'Product ' || i || ' ' || md5(i::text), i * 0.37, sales.price_range(i, i + 10, '[]'),
       CASE WHEN i % 10 = 0 THEN decode(repeat(md5(i::text), 8), 'hex') END, CASE WHEN i > 9 THEN 5 * (i / 10) END
FROM generate_series(1, 20000) AS i;

CREATE TABLE sales.orders (
    id bigint GENERATED BY DEFAULT AS IDENTITY,
    customer bigint NOT NULL,
    state sales.order_state DEFAULT 'new' NOT NULL,
    placed_at timestamptz NOT NULL,
    net sales.amount,
    vat_rate numeric(4, 3) DEFAULT 0.19 NOT NULL,
    gross numeric GENERATED ALWAYS AS (sales.vat(net, vat_rate)) STORED,
    deliver_in interval,
    from_address inet,
    reference uuid NOT NULL,
    note text
);
INSERT INTO sales.orders (customer, state, placed_at, net, vat_rate, deliver_in, from_address, reference, note)
SELECT 1000 + (i::bigint * 7919) % 120000, (enum_range(NULL::sales.order_state))[1 + i % 5],
       timestamptz '2023-01-01 00:00:00+00' + i * interval '97.003 seconds', (i % 100000) * 0.01, CASE i % 3 WHEN 0 THEN 0.07 ELSE 0.19 END,
       CASE WHEN i % 2 = 0 THEN (i % 30) * interval '1 day -1 hour' END,
       CASE i % 3 WHEN 0 THEN '10.0.0.0'::inet + i WHEN 1 THEN '2001:db8::'::inet + i END,
       md5('order' || i)::uuid, CASE i % 1000 WHEN 0 THEN '\N' WHEN 1 THEN '\.' WHEN 2 THEN '' END
FROM generate_series(1, 300000) AS i;

CREATE TABLE sales.order_lines (
    order_id bigint NOT NULL,
    line_no smallint NOT NULL,
    product integer NOT NULL,
    quantity integer NOT NULL,
    price sales.amount
);
INSERT INTO sales.order_lines
SELECT 1 + i / 2, 1 + i % 2, 5 + 5 * (i % 20000), 1 + i % 17, (i % 5000) * 0.05 FROM generate_series(0, 419999) AS i;

-- Constraints and indexes after the rows: this is quicker, and the order in which a dump restores.
ALTER TABLE sales.customers ADD CONSTRAINT customers_pkey PRIMARY KEY (id);
ALTER TABLE sales.products ADD CONSTRAINT products_pkey PRIMARY KEY (id);
ALTER TABLE sales.orders ADD CONSTRAINT orders_pkey PRIMARY KEY (id) INCLUDE (customer);
ALTER TABLE sales.order_lines ADD CONSTRAINT order_lines_pkey PRIMARY KEY (order_id, line_no) WITH (fillfactor = 95);
ALTER TABLE sales.orders ADD CONSTRAINT orders_reference_key UNIQUE (reference) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE sales.order_lines ADD CONSTRAINT "quantity > 0; always" CHECK (quantity > 0);
ALTER TABLE sales.order_lines ADD CONSTRAINT price_is_sane CHECK (price < 1000000) NOT VALID;
ALTER TABLE sales.orders ADD CONSTRAINT orders_customer_fkey FOREIGN KEY (customer) REFERENCES sales.customers ON DELETE RESTRICT;
ALTER TABLE sales.order_lines ADD CONSTRAINT order_lines_order_fkey FOREIGN KEY (order_id) REFERENCES sales.orders ON DELETE CASCADE;
ALTER TABLE sales.products ADD CONSTRAINT products_parent_fkey FOREIGN KEY (parent) REFERENCES sales.products ON DELETE SET NULL NOT VALID;
CREATE UNIQUE INDEX customers_email_key ON sales.customers (lower(email));
CREATE INDEX customers_attributes_idx ON sales.customers USING gin (attributes jsonb_path_ops) WHERE id < 20000;
CREATE INDEX orders_open_idx ON sales.orders (placed_at DESC NULLS LAST) WHERE state = 'new'::sales.order_state AND note IS DISTINCT FROM 'a;b';
CREATE INDEX orders_placed_at_idx ON sales.orders USING brin (placed_at) WITH (pages_per_range = 32);
CREATE INDEX "products words" ON sales.products USING gin (words);
CREATE INDEX products_name_idx ON sales.products USING hash (name);
CREATE INDEX products_bulk_idx ON sales.products USING gist (bulk);
CREATE STATISTICS sales.orders_state_customer (ndistinct, dependencies) ON state, customer FROM sales.orders;
CREATE STATISTICS sales.orders_day ON (date_trunc('day'::text, placed_at AT TIME ZONE 'UTC')), state FROM sales.orders;
ALTER STATISTICS sales.orders_state_customer SET STATISTICS 200;
COMMENT ON STATISTICS sales.orders_state_customer IS 'it''s; correlated';
ALTER TABLE sales.customers ALTER COLUMN email SET STATISTICS 500;
ALTER TABLE sales.products ALTER COLUMN picture SET STORAGE EXTERNAL;
ALTER TABLE sales.products CLUSTER ON products_pkey;
ALTER TABLE sales.orders REPLICA IDENTITY USING INDEX orders_pkey;

-- Two tables that refer to each other.
CREATE TABLE sales.teams (id integer PRIMARY KEY, name text NOT NULL, lead integer);
CREATE TABLE sales.members (id integer PRIMARY KEY, team integer NOT NULL, name text);
INSERT INTO sales.teams SELECT i, 'team ' || i, i * 10 FROM generate_series(1, 20) AS i;
INSERT INTO sales.members SELECT i, 1 + (i - 1) / 10, 'member ' || i FROM generate_series(1, 200) AS i;
ALTER TABLE sales.teams ADD CONSTRAINT teams_lead_fkey FOREIGN KEY (lead) REFERENCES sales.members DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE sales.members ADD CONSTRAINT members_team_fkey FOREIGN KEY (team) REFERENCES sales.teams DEFERRABLE;

CREATE TABLE sales.bookings (
    room integer NOT NULL,
    during tstzrange NOT NULL,
    seats nummultirange,
    CONSTRAINT no_overlap EXCLUDE USING gist (int4range(room, room, '[]') WITH =, during WITH &&) WHERE (room <> 13)
);
INSERT INTO sales.bookings
SELECT i % 50, tstzrange('2024-01-01 00:00:00+00'::timestamptz + i / 50 * interval '1 hour', '2024-01-01 00:00:00+00'::timestamptz + (i / 50 + 1) * interval '1 hour'),
       nummultirange(numrange(i, i + 1.5), numrange(i + 3, NULL))
FROM generate_series(0, 1999) AS i;

-- Row security, forced: whoever dumps has to bypass it.
CREATE TABLE sales.payments (
    id integer PRIMARY KEY,
    payer name NOT NULL,
    amount sales.amount,
    card_number text,
    changed integer
);
INSERT INTO sales.payments SELECT i, CASE WHEN i % 2 = 0 THEN 'shop_app' ELSE 'analyst' END, i * 1.01, md5(i::text), NULL FROM generate_series(1, 5000) AS i;
ALTER TABLE sales.payments ENABLE ROW LEVEL SECURITY;
ALTER TABLE sales.payments FORCE ROW LEVEL SECURITY;
CREATE POLICY "own rows; only" ON sales.payments USING (payer = CURRENT_USER) WITH CHECK (payer = CURRENT_USER AND amount < 100000);
CREATE POLICY small_ones ON sales.payments AS RESTRICTIVE FOR SELECT TO shop_reader, "O'Brien, ""Ops"" \ 7" USING (amount < 4000);
COMMENT ON POLICY small_ones ON sales.payments IS 'it''s restrictive';
REVOKE ALL ON sales.payments FROM shop_reader;
GRANT SELECT (id, payer, amount), UPDATE (amount) ON sales.payments TO shop_reader, "O'Brien, ""Ops"" \ 7";
GRANT SELECT (id) ON sales.payments TO PUBLIC;
GRANT SELECT ON sales.payments TO auditor WITH GRANT OPTION;
GRANT REFERENCES, TRIGGER ON sales.orders TO "Shop Lead";
GRANT SELECT ON sales.products TO PUBLIC;
REVOKE INSERT, UPDATE ON sales.products FROM shop_writer;

CREATE TRIGGER touch BEFORE INSERT OR UPDATE OF amount ON sales.payments FOR EACH ROW WHEN (NEW.amount > 0) EXECUTE FUNCTION sales.touch();
CREATE TRIGGER "touch; always" BEFORE UPDATE ON sales.payments FOR EACH ROW EXECUTE FUNCTION sales.touch('it''s', 'an "argument"');
CREATE TRIGGER touch_never BEFORE DELETE ON sales.payments FOR EACH ROW EXECUTE FUNCTION sales.touch();
ALTER TABLE sales.payments ENABLE ALWAYS TRIGGER "touch; always";
ALTER TABLE sales.payments DISABLE TRIGGER touch_never;
COMMENT ON TRIGGER touch ON sales.payments IS 'counts;
changes';

CREATE RECURSIVE VIEW sales.product_tree (id, depth, path) AS
    SELECT p.id, 0, p.name FROM sales.products p WHERE p.parent IS NULL
    UNION ALL
    SELECT c.id, t.depth + 1, t.path || ' > ' || c.name FROM sales.products c JOIN product_tree t ON c.parent = t.id;
CREATE VIEW sales.open_orders WITH (security_barrier = true) AS
    SELECT id, customer, placed_at, gross FROM sales.orders WHERE state = 'new' AND coalesce(note, ';') <> 'it''s';
CREATE VIEW sales.cheap_products AS SELECT id, name, price FROM sales.products WHERE price < 10 WITH CASCADED CHECK OPTION;
COMMENT ON VIEW sales.open_orders IS 'not paid yet';
COMMENT ON COLUMN sales.open_orders.gross IS 'with "VAT"';
CREATE MATERIALIZED VIEW sales.revenue_by_month AS
    SELECT date_trunc('month', placed_at AT TIME ZONE 'UTC') AS month, state, count(*) AS orders, sum(gross) AS gross
    FROM sales.orders GROUP BY 1, 2;
CREATE UNIQUE INDEX revenue_by_month_key ON sales.revenue_by_month (month, state);

CREATE TABLE "Odd Names"."weird""na me\." (
    "select" integer PRIMARY KEY,
    "a ""b"" c" text,
    "tab	column" text,
    "semi;colon" text DEFAULT ';',
    "ÄÖ €" text
);
INSERT INTO "Odd Names"."weird""na me\."
SELECT i, (ARRAY[E'\\.', E'\\N', '', NULL, E'\n', E'\r', E'\r\n', E'\t', '\', E'\\\\.\n\\.\n', '-- PostgreSQL database dump complete',
                 '-- PostgreSQL database cluster dump complete', '\connect postgres', 'COPY public.t (a) FROM stdin;', E'\b\f\v', '🐘 naïve'])[1 + i % 16],
       CASE WHEN i % 2 = 0 THEN '\.' END, repeat(';', i % 5), 'ß' || i
FROM generate_series(1, 1600) AS i;
COMMENT ON TABLE "Odd Names"."weird""na me\." IS 'It''s "weird";
\.
and
-- PostgreSQL database dump complete
';
COMMENT ON COLUMN "Odd Names"."weird""na me\."."tab	column" IS E'a\ttab, a \\ and a\r\nline end';
CREATE INDEX "weird; index" ON "Odd Names"."weird""na me\." ("semi;colon", (lower("a ""b"" c"))) WHERE "select" > 3;
CREATE TABLE "Odd Names"."Orders" (id integer, "Id" integer, "ID" text);
INSERT INTO "Odd Names"."Orders" SELECT i, -i, repeat('x', i) FROM generate_series(0, 9) AS i;
-- A line break in a name puts one into its COPY header, too.
CREATE TABLE "Odd Names"."two
lines" ("a
b" text, c integer);
INSERT INTO "Odd Names"."two
lines" VALUES (E'x\ny', 1), (NULL, 2);

RESET ROLE;

-- What only a superuser makes.
CREATE FUNCTION public.keep_orders() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() WHERE object_identity = 'sales.orders') THEN
        RAISE EXCEPTION 'sales.orders stays; it''s in use';
    END IF;
END;
$$;
CREATE EVENT TRIGGER keep_orders ON sql_drop WHEN TAG IN ('DROP TABLE', 'DROP SCHEMA') EXECUTE FUNCTION public.keep_orders();
COMMENT ON EVENT TRIGGER keep_orders IS 'it''s a guard';
CREATE PUBLICATION "orders; out" FOR TABLE sales.orders, sales.order_lines WITH (publish = 'insert, update');

-- A wrapper without a handler: its table can be dumped and restored but not read.
CREATE FOREIGN DATA WRAPPER nowhere OPTIONS (note 'it''s nowhere');
CREATE SERVER "the warehouse" TYPE 'none' VERSION '1' FOREIGN DATA WRAPPER nowhere OPTIONS (host 'warehouse.invalid');
CREATE USER MAPPING FOR shop_app SERVER "the warehouse" OPTIONS ("user" 'shop', password 'it''s a; secret');
CREATE FOREIGN TABLE sales.stock (product integer OPTIONS (column_name 'p id') NOT NULL, pieces bigint) SERVER "the warehouse" OPTIONS (table_name 'stock');
ALTER FOREIGN TABLE sales.stock OWNER TO shop_owner;
GRANT USAGE ON FOREIGN SERVER "the warehouse" TO shop_owner;

-- Large objects: small, 100 000 bytes, empty, and two with holes (one of them begins with a hole of several pages).
SELECT lo_from_bytea(70001, '\x00ff5c2e0a');
SELECT lo_from_bytea(70002, convert_to(string_agg(md5(i::text), '' ORDER BY i), 'UTF8')) FROM generate_series(1, 3125) AS i;
SELECT lo_create(70003);
SELECT lo_create(70004);
SELECT lo_put(70004, 50000, 'after a hole');
SELECT lo_from_bytea(70005, 'before a hole');
SELECT lo_put(70005, 20000, '\x00');
ALTER LARGE OBJECT 70001 OWNER TO shop_owner;
ALTER LARGE OBJECT 70002 OWNER TO "O'Brien, ""Ops"" \ 7";
GRANT SELECT ON LARGE OBJECT 70001 TO shop_reader;
GRANT SELECT, UPDATE ON LARGE OBJECT 70002 TO PUBLIC;
COMMENT ON LARGE OBJECT 70003 IS 'it''s empty;
really';

RESET TimeZone;

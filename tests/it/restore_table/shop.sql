CREATE ROLE shopkeeper;
CREATE ROLE reader;
CREATE ROLE clerk LOGIN;
GRANT shopkeeper TO clerk;
CREATE DATABASE shop TEMPLATE template0 ENCODING 'UTF8';
CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';

\connect shop
CREATE SCHEMA archive;
GRANT CREATE, USAGE ON SCHEMA public, archive TO shopkeeper;
CREATE TYPE public.mood AS ENUM ('sad', 'ok');
CREATE FUNCTION public.guard() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''the guard of % says no'', tg_table_name; END';
CREATE FUNCTION public.twice(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';

CREATE TABLE public.customers (id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO public.customers SELECT i, 'customer ' || i FROM generate_series(1, 50) AS i;
CREATE VIEW public.customer_names AS SELECT name FROM public.customers;

CREATE TABLE public.orders (
    id serial PRIMARY KEY,
    customer integer REFERENCES public.customers,
    at timestamptz NOT NULL DEFAULT now(),
    net numeric CONSTRAINT net_is_positive CHECK (net >= 0),
    gross numeric GENERATED ALWAYS AS (net * 1.19) STORED,
    payload bytea,
    note text DEFAULT 'none',
    UNIQUE (id, customer),
    EXCLUDE USING btree (id WITH =)
);
INSERT INTO public.orders (customer, at, net, payload, note)
    SELECT 1 + i % 50, timestamptz '2024-03-30 23:30:00+00' + i * interval '7 minutes', i * 0.37, decode(md5(i::text), 'hex'), CASE WHEN i % 7 > 0 THEN 'ein Stück für ' || i END
    FROM generate_series(1, 2000) AS i;
CREATE INDEX orders_note ON public.orders (note) WHERE note IS NOT NULL;
CREATE INDEX by_twice ON public.orders (public.twice(customer));
CREATE STATISTICS public.orders_stats ON customer, at FROM public.orders;
ALTER TABLE public.orders ALTER note SET STATISTICS 77, ALTER payload SET STORAGE EXTERNAL, REPLICA IDENTITY USING INDEX orders_pkey, CLUSTER ON orders_pkey;
ALTER TABLE public.orders OWNER TO shopkeeper;
GRANT SELECT ON public.orders TO reader;
COMMENT ON TABLE public.orders IS 'all orders; it''s \ these';
COMMENT ON COLUMN public.orders.net IS 'without tax';
COMMENT ON CONSTRAINT orders_pkey ON public.orders IS 'the key';
COMMENT ON INDEX public.orders_note IS 'an index';
COMMENT ON CONSTRAINT orders_customer_fkey ON public.orders IS 'a foreign key';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON public.orders FOR EACH ROW EXECUTE FUNCTION public.guard();
CREATE TRIGGER guard_always BEFORE INSERT OR TRUNCATE ON public.orders EXECUTE FUNCTION public.guard();
ALTER TABLE public.orders ENABLE ALWAYS TRIGGER guard_always;

CREATE TABLE public.items (order_id integer REFERENCES public.orders ON DELETE CASCADE, n integer, what text, PRIMARY KEY (order_id, n));
INSERT INTO public.items SELECT 1 + i % 2000, i, 'item ' || i FROM generate_series(1, 3000) AS i;

CREATE TABLE public.pairs (a integer, b bigint, PRIMARY KEY (a, b));
INSERT INTO public.pairs SELECT i, i FROM generate_series(1, 20) AS i;
CREATE TABLE public.pair_refs (x integer, y integer, FOREIGN KEY (x, y) REFERENCES public.pairs (a, b));
INSERT INTO public.pair_refs VALUES (1, 1), (2, NULL), (NULL, 99), (NULL, NULL), (20, 20);

CREATE TABLE public.tickets (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, subject text);
INSERT INTO public.tickets (subject) SELECT 'ticket ' || i FROM generate_series(1, 30) AS i;

CREATE TABLE public."Weird ""na.me'\" ("Cöl ""x" serial PRIMARY KEY, "select" text, CHECK ("select" <> 'no'));
INSERT INTO public."Weird ""na.me'\" ("select") VALUES ('\.'), (E'tab\t'), (NULL), ('');
COMMENT ON TABLE public."Weird ""na.me'\" IS 'odd';
CREATE TABLE public."Äääääääääääääääääääääääääääääää" (id serial PRIMARY KEY, n integer);
INSERT INTO public."Äääääääääääääääääääääääääääääää" (n) VALUES (1), (2);
CREATE INDEX ON public."Äääääääääääääääääääääääääääääää" (n);

CREATE TABLE public.events (id integer, day date, what text, PRIMARY KEY (id, day, what)) PARTITION BY RANGE (day);
CREATE TABLE public.events_2024 PARTITION OF public.events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (what);
CREATE TABLE public.events_2024_a PARTITION OF public.events_2024 FOR VALUES IN ('a');
CREATE TABLE archive.rest_of_2024 PARTITION OF public.events_2024 DEFAULT;
CREATE TABLE public.events_2025 PARTITION OF public.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE INDEX ON public.events (what);
INSERT INTO public.events SELECT i, date '2024-06-01' + i % 400, chr(97 + i % 3) FROM generate_series(1, 900) AS i;
CREATE TABLE public.moods (m public.mood, n integer) PARTITION BY HASH (m);
CREATE TABLE public.moods_0 PARTITION OF public.moods FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE public.moods_1 PARTITION OF public.moods FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO public.moods SELECT CASE WHEN i % 2 = 0 THEN 'ok' ELSE 'sad' END::public.mood, i FROM generate_series(1, 100) AS i;

CREATE TABLE public.log (id bigserial, day date) PARTITION BY RANGE (day);
CREATE TABLE public.log_2024 PARTITION OF public.log FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO public.log (day) SELECT '2024-02-03' FROM generate_series(1, 7);

CREATE TABLE public.nothing ();
INSERT INTO public.nothing SELECT FROM generate_series(1, 3);

CREATE TABLE public.parent (a integer, b text);
CREATE TABLE public.child (c integer) INHERITS (public.parent);
INSERT INTO public.parent VALUES (1, 'parent');
INSERT INTO public.child VALUES (2, 'child', 3);

CREATE TABLE public.secrets (id integer PRIMARY KEY, owner text, secret text);
INSERT INTO public.secrets VALUES (1, 'reader', 'x'), (2, 'other', 'y');
ALTER TABLE public.secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.secrets OWNER TO shopkeeper;
GRANT SELECT ON public.secrets TO reader;
CREATE POLICY own ON public.secrets FOR SELECT TO reader USING (owner = current_user);
CREATE RULE keep AS ON DELETE TO public.secrets DO INSTEAD NOTHING;

CREATE TABLE public.queue (id bigserial PRIMARY KEY, n integer);
INSERT INTO public.queue (n) SELECT generate_series(1, 10);
CREATE SEQUENCE public.countdown INCREMENT BY -1 MINVALUE -1000 MAXVALUE 100 START WITH 100;
CREATE TABLE public.launches (id integer DEFAULT nextval('public.countdown') PRIMARY KEY);
ALTER SEQUENCE public.countdown OWNED BY public.launches.id;
INSERT INTO public.launches SELECT nextval('public.countdown') FROM generate_series(1, 5);
CREATE PUBLICATION feed FOR TABLE public.queue;

\connect latin
CREATE TABLE public."Straße" ("Größe" text PRIMARY KEY, n serial);
INSERT INTO public."Straße" VALUES ('Käse'), ('été'), (E'\u00ff');

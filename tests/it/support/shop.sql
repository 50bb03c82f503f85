-- A small shop: one of everything that a backup can lose.
CREATE ROLE clerk NOLOGIN;
CREATE ROLE boss NOLOGIN;
GRANT clerk TO boss;
CREATE DATABASE shop;
CREATE DATABASE archive;
ALTER DATABASE shop SET timezone = 'UTC';
\connect archive
CREATE TABLE public.old (n integer);
INSERT INTO public.old SELECT generate_series(1, 10);
\connect shop
CREATE TABLE public.orders (id serial PRIMARY KEY, customer text, city text, at timestamptz NOT NULL);
INSERT INTO public.orders (customer, city, at) SELECT 'Zoé ' || i, 'Genève ' || i % 7, now() - interval '30 days' + i * interval '1 hour' FROM generate_series(1, 50) AS i;
CREATE TABLE public.paid (order_id integer, cents integer);
CREATE TABLE public.refunded (order_id integer, cents integer);
INSERT INTO public.paid SELECT i, i * 100 FROM generate_series(1, 40) AS i;
INSERT INTO public.refunded SELECT i, i * 10 FROM generate_series(1, 9) AS i;
ALTER TABLE public.refunded ADD CONSTRAINT refund_of_order FOREIGN KEY (order_id) REFERENCES public.orders (id);
ALTER TABLE public.paid ADD CONSTRAINT paid_once UNIQUE (order_id);
CREATE INDEX orders_at ON public.orders (at);
CREATE FUNCTION public.total(since timestamptz DEFAULT '-infinity') RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM public.orders WHERE at > since $$;
CREATE FUNCTION public.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER stamped BEFORE UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION public.stamp();
CREATE VIEW public.open AS SELECT o.id FROM public.orders o LEFT JOIN public.paid p ON p.order_id = o.id WHERE p.order_id IS NULL;
CREATE MATERIALIZED VIEW public.cities AS SELECT DISTINCT city FROM public.orders;
CREATE POLICY own ON public.orders FOR SELECT TO clerk USING (true);
ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON public.orders TO clerk;

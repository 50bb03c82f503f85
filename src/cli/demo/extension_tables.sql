-- Database "shop", after shop.sql, where hstore and pg_trgm exist (pgcrypto is not used). Sent whole, as one implicit transaction.

CREATE TABLE sales.labels (
    id integer PRIMARY KEY,
    name text NOT NULL,
    labels public.hstore DEFAULT ''::public.hstore NOT NULL,
    keys text[] GENERATED ALWAYS AS (public.akeys(labels)) STORED
);
INSERT INTO sales.labels (id, name, labels)
SELECT i, 'label ' || md5(i::text), public.hstore(ARRAY['a', 'b "c"', 'it''s\'], ARRAY[i::text, NULL, E'tab\t'])
FROM generate_series(1, 10000) AS i;
CREATE INDEX labels_name_idx ON sales.labels USING gin (name public.gin_trgm_ops);
CREATE INDEX labels_labels_idx ON sales.labels USING gist (labels);
ALTER TABLE sales.labels OWNER TO shop_owner;
COMMENT ON EXTENSION hstore IS 'kept; "for" what''s old';

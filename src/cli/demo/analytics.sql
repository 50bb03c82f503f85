-- Database "Analytics db": partitions of every kind that a dump keeps apart. Sent whole, as one implicit transaction.

SET ROLE analyst;

CREATE SCHEMA "Click Stream";

CREATE TABLE "Click Stream"."Events" (
    id bigint NOT NULL,
    at timestamptz NOT NULL,
    visitor uuid NOT NULL,
    path text NOT NULL,
    milliseconds double precision,
    slow boolean GENERATED ALWAYS AS (milliseconds > 900) STORED,
    properties jsonb,
    address inet
) PARTITION BY RANGE (at);
CREATE TABLE "Click Stream"."Events 2024-01" PARTITION OF "Click Stream"."Events" FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2024-02-01 00:00:00+00');
CREATE TABLE "Click Stream"."Events 2024-02" PARTITION OF "Click Stream"."Events" FOR VALUES FROM ('2024-02-01 00:00:00+00') TO ('2024-03-01 00:00:00+00')
    PARTITION BY LIST (path);
CREATE TABLE "Click Stream"."Events 2024-02 cart" PARTITION OF "Click Stream"."Events 2024-02" FOR VALUES IN ('/cart', '/it''s; checkout');
CREATE TABLE "Click Stream"."Events 2024-02 rest" PARTITION OF "Click Stream"."Events 2024-02" DEFAULT;
-- Made apart and attached: its columns are in another order, and its COPY says so.
CREATE TABLE "Click Stream"."Events 2024-03" (
    address inet,
    path text NOT NULL,
    visitor uuid NOT NULL,
    at timestamptz NOT NULL,
    slow boolean GENERATED ALWAYS AS (milliseconds > 900) STORED,
    milliseconds double precision,
    properties jsonb,
    id bigint NOT NULL
);
ALTER TABLE "Click Stream"."Events" ATTACH PARTITION "Click Stream"."Events 2024-03" FOR VALUES FROM ('2024-03-01 00:00:00+00') TO ('2024-04-01 00:00:00+00');
CREATE TABLE "Click Stream"."Events other" PARTITION OF "Click Stream"."Events" DEFAULT;

INSERT INTO "Click Stream"."Events" (id, at, visitor, path, milliseconds, properties, address)
SELECT i, timestamptz '2023-12-31 00:00:00+00' + i * interval '18.7 seconds', md5((i % 40000)::text)::uuid,
       (ARRAY['/', '/cart', '/search?q=a\b', '/it''s; checkout', E'/odd\npath', '/数据'])[1 + (i * 31) % 6],
       CASE WHEN i % 100 = 0 THEN NULL ELSE sqrt(i::double precision) * 1.7 END,
       CASE WHEN i % 4 = 0 THEN jsonb_build_object('i', i, 'ref', md5(i::text), 'list', jsonb_build_array(1.50, true, NULL)) END,
       '192.168.0.0'::inet + (i % 65536)
FROM generate_series(1, 450000) AS i;

ALTER TABLE "Click Stream"."Events" ADD CONSTRAINT "Events_pkey" PRIMARY KEY (id, at, path);
CREATE INDEX "Events by visitor" ON "Click Stream"."Events" (visitor, at DESC);
CREATE INDEX "slow ones" ON "Click Stream"."Events 2024-01" (milliseconds) WHERE slow;
COMMENT ON TABLE "Click Stream"."Events" IS 'Partitioned; its parent''s COPY is not in a dump';
COMMENT ON INDEX "Click Stream"."Events by visitor" IS 'it''s on the parent';

CREATE TABLE "Click Stream".regions (code text, name text, PRIMARY KEY (code)) PARTITION BY LIST (code);
CREATE TABLE "Click Stream".regions_eu PARTITION OF "Click Stream".regions FOR VALUES IN ('de', 'fr', 'pl');
CREATE TABLE "Click Stream".regions_other PARTITION OF "Click Stream".regions DEFAULT;
CREATE TABLE "Click Stream".regions_empty PARTITION OF "Click Stream".regions FOR VALUES IN ('\.', '\N');
INSERT INTO "Click Stream".regions VALUES ('de', 'Deutschland'), ('fr', 'France'), ('pl', 'Polska'), ('nz', 'Aotearoa'), ('', 'nowhere');

CREATE TYPE "Click Stream".grade AS ENUM ('bad', 'fair', 'good');
CREATE FUNCTION "Click Stream".grade_number(g "Click Stream".grade) RETURNS integer LANGUAGE sql IMMUTABLE STRICT
    RETURN CASE g WHEN 'bad'::"Click Stream".grade THEN 0 WHEN 'fair'::"Click Stream".grade THEN 1 ELSE 2 END;
CREATE CAST ("Click Stream".grade AS integer) WITH FUNCTION "Click Stream".grade_number("Click Stream".grade) AS ASSIGNMENT;
CREATE FUNCTION "Click Stream".same_folded(a text, b text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT
    AS $$ SELECT lower(a) OPERATOR(pg_catalog.=) lower(b); $$;
CREATE OPERATOR "Click Stream".=== (LEFTARG = text, RIGHTARG = text, FUNCTION = "Click Stream".same_folded, COMMUTATOR = OPERATOR("Click Stream".===));
CREATE AGGREGATE "Click Stream".product(double precision) (SFUNC = float8mul, STYPE = double precision, INITCOND = '1');
COMMENT ON AGGREGATE "Click Stream".product(double precision) IS 'multiplies; it''s all';
CREATE TABLE "Click Stream".grades (
    visitor bigint PRIMARY KEY,
    grade "Click Stream".grade NOT NULL,
    number integer GENERATED ALWAYS AS ("Click Stream".grade_number(grade)) STORED,
    CONSTRAINT folded CHECK (('A' OPERATOR("Click Stream".===) 'a'))
);
INSERT INTO "Click Stream".grades (visitor, grade) SELECT i, (enum_range(NULL::"Click Stream".grade))[1 + i % 3] FROM generate_series(1, 3000) AS i;

CREATE MATERIALIZED VIEW "Click Stream"."Visits per day" AS
    SELECT (at AT TIME ZONE 'UTC')::date AS day, count(*) AS events, count(DISTINCT path) AS paths, max(id) AS last
    FROM "Click Stream"."Events" GROUP BY 1;
CREATE UNIQUE INDEX ON "Click Stream"."Visits per day" (day);
CREATE VIEW "Click Stream"."Busy days" AS SELECT day, events FROM "Click Stream"."Visits per day" WHERE events > 4000;

GRANT USAGE ON SCHEMA "Click Stream" TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA "Click Stream" TO shop_reader;
GRANT SELECT (id, at) ON "Click Stream"."Events" TO intern;
REVOKE ALL ON FUNCTION "Click Stream".same_folded(text, text) FROM PUBLIC;

RESET ROLE;

-- Data that hurts: what backups elsewhere lose, spoil or stumble over. By a superuser, in a database of its own;
-- whatever an ordinary owner can make is the owner's.
CREATE SCHEMA ext; GRANT USAGE ON SCHEMA ext TO PUBLIC;
CREATE EXTENSION hstore SCHEMA ext; CREATE EXTENSION citext; CREATE EXTENSION btree_gist SCHEMA ext;
CREATE EXTENSION postgres_fdw SCHEMA ext; CREATE EXTENSION pg_stat_statements;
CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE EVENT TRIGGER watch_ddl ON ddl_command_end EXECUTE FUNCTION on_ddl();
CREATE PUBLICATION everything FOR ALL TABLES;
SET ROLE owner;
CREATE SCHEMA "Ünï ""code"" schema";
CREATE TABLE "Ünï ""code"" schema"."select; --" ("t" text, "a.b" int, "trailing " text, "line
break" text, """" int);
INSERT INTO "Ünï ""code"" schema"."select; --"
    SELECT repeat('ä€𝄞\"''', i), i, NULL, '', -i FROM generate_series(1, 300) i;
CREATE TABLE "table with
a line break" (t text); INSERT INTO "table with
a line break" VALUES ('\.'), (E'\\.\n\t\r\b'), (NULL), (''), ('\N');
CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES; INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE empty (id int);
CREATE TABLE huge (id int PRIMARY KEY, body bytea);
INSERT INTO huge SELECT 1, decode(string_agg(md5(i::text), ''), 'hex') FROM generate_series(1, 4194304) i;
CREATE TYPE mood AS ENUM ('sad', 'ok', '"quoted"'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a text, b mood); CREATE TYPE span AS RANGE (subtype = float8);
CREATE TABLE kinds (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, f float8, r real, n numeric, d date, ts timestamptz,
    i interval, m money, j jsonb, x xml, b bytea, a text[], h ext.hstore, c citext UNIQUE, e mood, p positive,
    w pair, s span, during tstzrange, u uuid, net inet, g text GENERATED ALWAYS AS (upper(c::text)) STORED,
    EXCLUDE USING gist (during WITH &&)
);
INSERT INTO kinds (f, r, n, d, ts, i, m, j, x, b, a, h, c, e, p, w, s, during, u, net) VALUES
    ('NaN', '-infinity', 'NaN', 'infinity', '-infinity', '1 year -3 days 04:05:06.789', 12.34, '{"a": [1, null]}',
     '<a b="ä"/>', '\x00ff5c', '{NULL,"","NULL","{}"}'::text[], 'a=>NULL, b=>"x"', 'MiXed', '"quoted"', 1,
     ('x,")', 'sad'), '[0.1,0.30000000000000004)', '[2026-03-29 01:30+01,2026-03-29 03:30+02)',
     'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2001:db8::/32'),
    (0.1 + 0.2, 1e-40, 1e-100, '4713-01-01 BC', '294276-12-31', '0', NULL, 'null', NULL, '', '{}', '', '', NULL, NULL,
     NULL, 'empty', 'empty', NULL, NULL);
CREATE TABLE parent (id int, shared text);
CREATE TABLE child (own text) INHERITS (parent);
ALTER TABLE parent ADD COLUMN late int DEFAULT 7;
INSERT INTO parent VALUES (1, 'p'); INSERT INTO child (id, shared, own) SELECT i, 's' || i, 'o' || i
    FROM generate_series(1, 50) i;
CREATE TABLE events (at date NOT NULL, id int, gone int, what text) PARTITION BY RANGE (at);
ALTER TABLE events DROP COLUMN gone;
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 (what text, id int, at date NOT NULL);
ALTER TABLE events ATTACH PARTITION events_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE INDEX ON events (at, id);
INSERT INTO events SELECT '2025-06-01'::date + i, i, 'w' || i FROM generate_series(1, 400) i;
CREATE SEQUENCE down INCREMENT -3 MAXVALUE 100 START 90; SELECT nextval('down'), nextval('down');
CREATE SEQUENCE untouched START 5; CREATE SEQUENCE "Sequence; --" CYCLE MAXVALUE 3; SELECT nextval('"Sequence; --"');
CREATE UNLOGGED TABLE unlogged (t text); INSERT INTO unlogged VALUES ('kept');
CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM events;
CREATE VIEW shown WITH (security_barrier) AS SELECT id FROM kinds;
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION touched();
CREATE TABLE notes (id int PRIMARY KEY, parent int REFERENCES notes DEFERRABLE INITIALLY DEFERRED, of text);
BEGIN; INSERT INTO notes VALUES (1, 2, 'a'), (2, 1, 'b'); COMMIT;
ALTER TABLE notes ADD CONSTRAINT later CHECK (id > 1) NOT VALID;
ALTER TABLE notes ENABLE ROW LEVEL SECURITY; ALTER TABLE notes FORCE ROW LEVEL SECURITY;
CREATE POLICY theirs ON notes TO app_a, "Odd; Röle" USING (of = current_user);
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO "Odd; Röle";
SELECT lo_from_bytea(4242, decode(repeat('ab', 2500000), 'hex')), lo_from_bytea(4243, ''),
    lo_from_bytea(4244, decode(repeat('cd', 1048576), 'hex'));
COMMENT ON TABLE kinds IS E'a comment; with \'quotes\'\nand lines';
RESET ROLE;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'nowhere.invalid');
CREATE FOREIGN TABLE far (id int) SERVER elsewhere;

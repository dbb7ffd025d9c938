-- Rows as a shop has them, about a megabyte of tables and indexes for each unit of :scale; the same ones every time.
SELECT setseed(0.4711);
CREATE TABLE customers (
    id bigint PRIMARY KEY, email text NOT NULL, name text NOT NULL, city text, born date, joined timestamptz NOT NULL,
    settings jsonb NOT NULL
);
INSERT INTO customers
SELECT i, 'customer.' || i || '@example.org', 'Name ' || substr(md5(i::text), 1, 8) || ' ' || substr(md5('f' || i), 1, 12),
    (ARRAY['Lisboa', 'Łódź', 'Köln', 'Zürich', 'Roma', 'Århus'])[1 + i % 6],
    '1950-01-01'::date + (random() * 20000)::int, '2020-01-01'::timestamptz + random() * interval '6 years',
    jsonb_build_object('language', (ARRAY['de', 'en', 'pt', 'pl'])[1 + i % 4], 'newsletter', random() < 0.3,
        'theme', 'dark', 'seen', (random() * 1000)::int)
FROM generate_series(1, 300 * :scale) i;
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer bigint NOT NULL REFERENCES customers, at timestamptz NOT NULL,
    state text NOT NULL, total numeric(12, 2) NOT NULL, note text
);
INSERT INTO orders (customer, at, state, total, note)
SELECT 1 + (random() * (300 * :scale - 1))::bigint, '2020-01-01'::timestamptz + i * interval '3 minutes',
    (ARRAY['open', 'paid', 'sent', 'returned'])[1 + (random() * 3)::int], (random() * 900)::numeric(12, 2),
    CASE WHEN i % 7 = 0 THEN 'Please leave it with the neighbours at number ' || i % 90 || ', ' || md5(i::text) END
FROM generate_series(1, 1000 * :scale) i;
CREATE TABLE lines (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "order" bigint NOT NULL, article text NOT NULL, pieces int NOT NULL,
    price numeric(10, 2) NOT NULL
);
INSERT INTO lines ("order", article, pieces, price)
SELECT 1 + i / 3, 'A-' || upper(substr(md5((random() * 9000)::int::text), 1, 10)), 1 + (random() * 4)::int,
    (random() * 200)::numeric(10, 2)
FROM generate_series(1, 2800 * :scale) i;
CREATE TABLE events (
    id uuid PRIMARY KEY, at timestamptz NOT NULL, kind text NOT NULL, about jsonb NOT NULL
);
INSERT INTO events
SELECT md5('e' || i)::uuid, '2024-01-01'::timestamptz + i * interval '40 seconds',
    (ARRAY['page.seen', 'basket.changed', 'login', 'search'])[1 + i % 4],
    jsonb_build_object('session', md5((i / 9)::text), 'path', '/articles/' || (random() * 9000)::int, 'took', random(),
        'agent', 'Mozilla/5.0 (X11; Linux x86_64) Gecko/' || i % 300, 'search', substr(md5(i::text), 1, 1 + i % 30))
FROM generate_series(1, 800 * :scale) i;
CREATE TABLE documents (id bigint PRIMARY KEY, title text NOT NULL, body text NOT NULL, scan bytea);
INSERT INTO documents
SELECT i, 'Invoice ' || i,
    (SELECT string_agg((ARRAY['the ', 'order ', 'was ', 'sent ', 'to ', 'an ', 'address ', 'that ', 'nobody ', 'knows ', '', ''])
        [1 + (i::bigint * j * 7919) % 12] || substr(md5((i * j)::text), 1, j % 9), ' ') FROM generate_series(1, 100) j),
    CASE WHEN i % 4 = 0 THEN (SELECT string_agg(sha512((i || '/' || j)::bytea), '') FROM generate_series(1, 85) j) END
FROM generate_series(1, 100 * :scale) i;
CREATE INDEX ON orders (customer, at);
CREATE INDEX ON lines ("order");
CREATE INDEX ON events (at);
ALTER TABLE lines ADD FOREIGN KEY ("order") REFERENCES orders;
ANALYZE customers, orders, lines, events, documents;

-- What a database in Latin-1 holds.
CREATE TABLE umlaute (id int, "größe" text);
INSERT INTO umlaute SELECT i, repeat('äöüß¿', i) FROM generate_series(1, 200) i;

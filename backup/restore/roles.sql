-- The two roles of restores, as a server's administrator makes them; neither is a superuser.
-- The loader owns what it makes in a database that is not live yet, and has no right anywhere else.
CREATE ROLE restore_loader LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
-- It makes, renames and drops databases (CREATEDB, and being a member of their owner), hands over what the loader made
-- (being a member of it), and ends other roles' sessions in a database that it has shut.
CREATE ROLE restore_admin LOGIN NOSUPERUSER CREATEDB NOCREATEROLE;
GRANT owner, restore_loader, pg_signal_backend TO restore_admin;
GRANT CONNECT ON DATABASE postgres TO restore_admin;

"""What the running release's migrations do to a schema that is one step behind: `python upgrade.py URL`."""

from __future__ import annotations

import sys

import psycopg

url = sys.argv[1]
with psycopg.connect(url, dbname="postgres") as lock, psycopg.connect(url) as session:
    lock.execute("SET lock_timeout = '5s'")
    lock.execute("SELECT pg_advisory_lock(1935892838, hashtext('scaffold'))")
    session.execute("SET ROLE owner")
    session.execute(
        "CREATE TABLE consumed_messages (issuer varchar(255), message_id varchar(256), "
        "kept_until timestamptz NOT NULL, PRIMARY KEY (issuer, message_id))"
    )
    session.execute("CREATE TABLE saml_transactions (request_id varchar(64) PRIMARY KEY)")
    session.execute("UPDATE alembic_version SET version_num = '0004'")

"""A restore brings data back, and nobody who was shut out since: tried with the app's own code."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from scaffold import audit, breakglass, create_app, sessions, users
from scaffold.database import db
from scaffold.factors import recovery_codes, seeds, totp
from scaffold.passwords import Password
from scaffold.saml import tables, transactions
from scaffold.saml.refusal import Refusal
from scaffold.settings import load
from scaffold.users import Attributes, Identity, Refused
from sqlalchemy import select, text
from sqlalchemy.engine import make_url

ISSUER = "https://idp.example"
ADA, BOB = Identity(ISSUER, "ada"), Identity(ISSUER, "bob")
SEED = b"s" * 20


@contextmanager
def app(stage: Any, tmp_path: Any) -> Iterator[Flask]:
    """The app of the working tree as its own role on the live database."""
    known = load({"ENVIRONMENT": "development", "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/app.db"})
    url = make_url(stage.url("app_a")).set(host=stage.address)
    made = create_app(
        replace(
            known, environment="production", site_url="https://www.example.org", secret_key="k" * 40, database_url=url,
            maintenance_page_file=tmp_path / "page.html", release="r1", factor_keys=("f" * 40,),
        )
    )  # fmt: skip
    try:
        with made.app_context():
            yield made
            db.session.remove()
    finally:
        with made.app_context():
            db.engine.dispose()
        made.extensions["readiness"].engine.dispose()
        made.extensions["audit_engine"].dispose()


def signed_in(made: Flask, token: str) -> bool:
    """Whether a browser with this cookie is signed in."""
    name = sessions.cookie_name(made.extensions["settings"])
    with made.test_request_context("/", base_url="https://www.example.org", headers={"Cookie": f"{name}={token}"}):
        return sessions.current() is not None


def cookie(made: Flask, user: users.User) -> str:
    """Sign a user in at a new browser and return its cookie's value."""
    from flask import Response

    with made.test_request_context("/", base_url="https://www.example.org"):
        give = sessions.start(user, method="saml")
        db.session.commit()
        header = give(Response()).headers["Set-Cookie"]
    found = re.search(r"_session=([^;]+)", header)
    assert found
    return found[1]


@pytest.fixture
def before(stage: Any, tmp_path: Any) -> dict[str, Any]:
    """What there is when the dump is made: people, a session, codes, and a little log."""
    known: dict[str, Any] = {}
    stage.psql("scaffold", "TRUNCATE users CASCADE; TRUNCATE consumed_messages, saml_certificates, throttles")
    with app(stage, tmp_path) as made:
        for name, identity in (("ada", ADA), ("bob", BOB)):
            attributes = Attributes(email=f"{name}@example.org", display_name=name, roles=("admin", "staff"))
            known[name] = users.sign_in_with(identity, attributes).id
        db.session.commit()
        ada = db.session.get_one(users.User, known["ada"])
        known["codes"] = recovery_codes.issue(ada.id)
        at = datetime.now(UTC)
        db.session.add(totp.Totp(user_id=ada.id, seed=seeds.sealed(SEED), last_step=0, created_at=at, confirmed_at=at))
        db.session.add(Password(user_id=ada.id, hash="old", must_change=False, changed_at=at))
        db.session.add(
            tables.TrustedCertificate(
                entity_id=ISSUER, fingerprint="f" * 8, pem="p", ends_at=at + timedelta(days=1), first_seen_at=at,
                last_seen_at=at,
            )
        )  # fmt: skip
        db.session.commit()
        known["cookie"] = cookie(made, ada)
        assert signed_in(made, known["cookie"])
        audit.record("user_created", user_id=ada.id)
    stage.dump("scaffold", "before.dump")
    return known


def test_a_revoked_session_a_replayed_assertion_and_a_used_code_stay_dead(
    stage: Any, before: dict[str, Any], tmp_path: Any
) -> None:
    step = totp.step_at(time.time())
    code = totp.code(SEED, step)
    with app(stage, tmp_path) as made:
        ada, bob = (db.session.get_one(users.User, before[name]) for name in ("ada", "bob"))
        db.session.execute(text("DELETE FROM sessions"))
        assert recovery_codes.is_right(ada.id, before["codes"][0])
        assert totp.is_right(ada.id, code)
        transactions.consume_message(ISSUER, "_assertion", datetime.now(UTC) + timedelta(minutes=9))
        users.disable(bob)
        users.give_roles(ada, ("staff",))
        db.session.get_one(Password, ada.id).hash = "new"
        # Made after the dump, and kept out since: the dump knows neither of this.
        late = users.sign_in_with(Identity(ISSUER, "eve"), Attributes(email="eve@example.org"))
        users.disable(late)
        db.session.get_one(tables.TrustedCertificate, (ISSUER, "f" * 8)).distrusted_at = datetime.now(UTC)
        at = datetime.now(UTC)
        db.session.add(
            breakglass.Opening(
                user_id=ada.id, opened_at=at, until=at + timedelta(minutes=30), opened_by="me", reason="why"
            )
        )
        db.session.commit()
        new_cookie = cookie(made, ada)
        audit.record("user_disabled", user_id=bob.id)
        audit.record("authn_login_fail", user_id=bob.id, reason="x")
        log = [(row["id"], row["seal"]) for row in audit.newest(db.session.connection(), 500)]
        ledger = stage.sql("SELECT count(*) FROM releases", "scaffold")
    stage.put(stage.root / "files/before.dump")
    done = stage.drain()
    receipt = stage.receipts()[0]
    assert receipt["outcome"] == "done", done.text
    assert receipt["security_unread"] == {}
    with app(stage, tmp_path) as made:
        ada, bob = (db.session.get_one(users.User, before[name]) for name in ("ada", "bob"))
        assert not signed_in(made, before["cookie"]), "the session was revoked after the dump"
        assert not signed_in(made, new_cookie), "everybody signs in again"
        assert not recovery_codes.is_right(ada.id, before["codes"][0]), "the code was used after the dump"
        assert recovery_codes.is_right(ada.id, before["codes"][1]), "the others are good"
        assert not totp.is_right(ada.id, code), "the app's code was used after the dump"
        with pytest.raises(Refusal, match="replayed"):
            transactions.consume_message(ISSUER, "_assertion", datetime.now(UTC) + timedelta(minutes=9))
        with pytest.raises(Refused, match="disabled"):
            users.sign_in_with(BOB, Attributes())
        with pytest.raises(Refused, match="disabled"):
            users.sign_in_with(Identity(ISSUER, "eve"), Attributes())
        assert ada.roles == ["staff"], "a role that was taken away stays away"
        assert bob.disabled_at is not None
        assert db.session.get_one(Password, ada.id).hash == "new"
        assert db.session.get_one(tables.TrustedCertificate, (ISSUER, "f" * 8)).distrusted_at is not None
        assert db.session.scalar(select(breakglass.Opening.id)) is None
        now = [(row["id"], row["seal"]) for row in audit.newest(db.session.connection(), 500)]
        assert now == log, "number by number and seal by seal"
        assert audit.broken_at(db.session.connection()) is None
        audit.record("user_enabled", user_id=bob.id)
        assert audit.broken_at(db.session.connection()) is None, "and it goes on"
        assert sum(row[3] for row in audit.counts(db.session.connection())) == len(log) + 1
    assert stage.sql("SELECT count(*) FROM releases", "scaffold") == ledger
    assert stage.sql("SELECT nextval('releases_id_seq') > max(id) FROM releases", "scaffold")


def test_the_new_database_has_the_old_ones_owners_rights_and_settings(stage: Any) -> None:
    query = """SELECT string_agg(x, E'\\n' ORDER BY x) FROM (
        SELECT c.relname || ' ' || c.relowner::regrole || ' ' || coalesce((SELECT string_agg(a.grantee::regrole || ':'
            || a.privilege_type, ',' ORDER BY 1) FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner), '') AS x
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'S')
        UNION ALL SELECT proname || ' ' || proowner::regrole FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT nspname || ' ' || nspowner::regrole || ' ' || nspacl::text FROM pg_namespace
            WHERE nspname = 'public'
        UNION ALL SELECT defaclobjtype::text || ' ' || defaclacl::text FROM pg_default_acl
        UNION ALL SELECT datdba::regrole || ' ' || datacl::text || ' ' || datconnlimit || ' ' || datcollate
            || ' ' || datlocprovider::text || ' ' || coalesce(datlocale, '') FROM pg_database
            WHERE datname = current_database()
        UNION ALL SELECT unnest(setconfig) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
            WHERE datname = current_database()) rows"""
    stage.psql("scaffold", "REVOKE UPDATE ON goods FROM app; GRANT SELECT (word) ON marker TO restore_loader")
    stage.psql("scaffold", "ALTER TABLE goods ADD extra int; GRANT SELECT (extra) ON goods TO app_a")
    before = stage.sql(query, "scaffold")
    word = stage.sql("SELECT word FROM marker", "scaffold")
    stage.put(stage.root / f"files/{'new' if word == 'old' else 'old'}.dump")
    done = stage.drain()
    assert stage.receipts()[0]["outcome"] == "done", done.text
    (left,) = stage.receipts()[0]["rights_left"]
    assert 'column "extra"' in left, "what cannot be given is told"
    after = stage.sql(query, "scaffold")
    assert after == before
    assert "restore_loader" not in after, "nothing is the loader's, nor may it do anything"
    stage.psql("scaffold", "GRANT UPDATE ON goods TO app")


def test_a_live_database_that_cannot_be_read_is_replaced_and_the_receipt_says_what_was_lost(stage: Any) -> None:
    stage.psql("scaffold", "ALTER TABLE passkeys RENAME TO gone; ALTER TABLE users ENABLE ROW LEVEL SECURITY")
    word = stage.sql("SELECT word FROM marker", "scaffold")
    stage.put(stage.root / f"files/{'new' if word == 'old' else 'old'}.dump")
    done = stage.drain(RESTORE_FACTORS="renew-when-unreadable")
    receipt = stage.receipts()[0]
    assert receipt["outcome"] == "done", done.text
    assert {"users", "passkeys", "totps"} <= set(receipt["security_unread"])
    assert "everybody makes new ones" in receipt["security"]["totps"]


def test_a_live_database_that_is_gone_is_made_anew(stage: Any) -> None:
    word = stage.sql("SELECT word FROM marker", "scaffold")
    stage.psql("postgres", "DROP DATABASE scaffold WITH (FORCE)")
    wanted = "new" if word == "old" else "old"
    stage.put(stage.root / f"files/{wanted}.dump")
    done = stage.drain()
    receipt = stage.receipts()[0]
    assert (receipt["outcome"], receipt["previous"]) == ("done", ""), done.text
    stage.alive(wanted)

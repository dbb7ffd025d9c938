"""People whom an identity provider knows: made at their first time, known again by what never changes."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from flask import Flask
from scaffold import users
from scaffold.database import db
from scaffold.users import Attributes, Identity, Refused
from sqlalchemy import func, select

ADA = Identity("https://sts.example/t1/", "0b1ec7", "t1")


def test_somebody_is_made_at_the_first_time_and_known_again_whatever_their_address(site: Flask) -> None:
    with site.app_context():
        first = users.sign_in_with(ADA, Attributes("ada@example.org", "Ada", ("editor",)))
        db.session.commit()
        again = users.sign_in_with(ADA, Attributes("lovelace@example.org", None, ("editor",)))
        db.session.commit()
        assert again.id == first.id
        assert (again.email, again.display_name, again.roles) == ("lovelace@example.org", "Ada", ["editor"])
        assert not again.local


@pytest.mark.parametrize("other", [{"issuer": "https://sts.example/t2/"}, {"tenant": "t2"}, {"object_id": "0B1EC7"}])
def test_another_issuer_tenant_or_object_is_somebody_else_though_the_address_is_the_same(
    site: Flask, other: dict[str, str]
) -> None:
    with site.app_context():
        ada = users.sign_in_with(ADA, Attributes("ada@example.org"))
        eve = users.sign_in_with(replace(ADA, **other), Attributes("ada@example.org"))
        db.session.commit()
        assert ada.id != eve.id


def test_nobody_gets_at_a_local_account_by_its_address(site: Flask) -> None:
    with site.app_context():
        db.session.add(users.User(email="root@example.org", local=True, roles=["admin"]))
        db.session.flush()
        user = users.sign_in_with(ADA, Attributes("root@example.org"))
        db.session.commit()
        assert not user.local
        assert user.roles == []
        local = users.local_of("ROOT@example.org")
        assert local is not None
        assert local.id != user.id


def test_whoever_is_disabled_is_refused_with_a_reason_and_let_in_when_enabled_again(site: Flask) -> None:
    with site.app_context():
        user = users.sign_in_with(ADA, Attributes())
        users.disable(user)
        db.session.commit()
        with pytest.raises(Refused) as refused:
            users.sign_in_with(ADA, Attributes("new@example.org"))
        assert (refused.value.reason, refused.value.user_id) == ("disabled", user.id)
        db.session.rollback()
        users.enable(user)
        db.session.commit()
        assert users.sign_in_with(ADA, Attributes()).id == user.id


def test_ten_first_times_at_once_make_one_person(site: Flask) -> None:
    barrier, found, errors = threading.Barrier(10), set(), []

    def enter() -> None:
        try:
            with site.app_context():
                barrier.wait(10)
                user = users.sign_in_with(ADA, Attributes("ada@example.org", roles=("editor",)))
                found.add(user.id)
                db.session.commit()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=enter) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert len(found) == 1
    with site.app_context():
        assert db.session.scalar(select(func.count()).select_from(users.User)) == 1

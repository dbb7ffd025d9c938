"""Settings: what is refused, in which words, and what never appears in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from scaffold.settings import SettingsError, load

GOOD = {
    "ENVIRONMENT": "production",
    "SITE_URL": "https://www.example.org",
    "SECRET_KEY": "k3y-0f-tests-abcdefghijklmnopqrstuvwxyz",
    "SQLALCHEMY_DATABASE_URI": "postgresql+psycopg://app:pa55word@db:5432/scaffold",
}


def problems(**changed: str) -> list[str]:
    """Return what is wrong with good settings after a change."""
    with pytest.raises(SettingsError) as caught:
        load({**GOOD, **changed})
    return caught.value.problems


def test_good_settings_are_taken_with_sane_defaults() -> None:
    settings = load(GOOD)
    assert settings.production
    assert settings.https
    assert (settings.web_workers, settings.web_threads) == (2, 8)
    assert not settings.debug
    assert not settings.password_login_enabled


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ENVIRONMENT": "prod"}, "ENVIRONMENT: got 'prod'; wanted one of development, production"),
        ({"SITE_URL": ""}, "SITE_URL: got nothing; wanted the address people use"),
        ({"SITE_URL": "http://www.example.org"}, "SITE_URL: got http://www.example.org in production; wanted an https"),
        ({"SITE_URL": "www.example.org"}, "SITE_URL: got 'www.example.org'; wanted scheme and host alone"),
        ({"SITE_URL": "https://www.example.org/shop"}, "wanted scheme and host alone"),
        ({"SITE_URL": "https://a:99999"}, "wanted scheme and host alone"),
        ({"SECRET_KEY": ""}, "SECRET_KEY: got nothing; wanted at least 32 random characters; make one with: python3"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY: got a key of 5 characters; wanted at least 32"),
        ({"SECRET_KEY": "a" * 40}, "SECRET_KEY: got a key made of only 1 different characters"),
        ({"SECRET_KEY": "changeme-changeme-changeme-changeme"}, "SECRET_KEY: got a key"),
        ({"SECRET_KEY_FALLBACKS": "short"}, "SECRET_KEY_FALLBACKS: got a key of 5 characters"),
        ({"SECRET_KEY_FALLBACKS": "[1]"}, "SECRET_KEY_FALLBACKS: got JSON that is not a list of strings"),
        ({"DEBUG": "true"}, "DEBUG: got true in production; wanted false"),
        ({"DEBUG": "on"}, "DEBUG: got 'on'; wanted true or false"),
        ({"PASSWORD_LOGIN_ENABLED": "true"}, "PASSWORD_LOGIN_ENABLED: got true in production; wanted false"),
        ({"SQLALCHEMY_DATABASE_URI": ""}, "SQLALCHEMY_DATABASE_URI: got nothing; wanted postgresql+psycopg://"),
        ({"SQLALCHEMY_DATABASE_URI": "sqlite:///x.db"}, "SQLALCHEMY_DATABASE_URI: got sqlite in production"),
        ({"SQLALCHEMY_DATABASE_URI": "postgresql://a:pa55word@b/c"}, "got a URL that starts with postgresql://"),
        ({"SQLALCHEMY_DATABASE_URI": "pa55word"}, "got something that is not a database URL"),
        ({"SQLALCHEMY_DATABASE_URI": "postgresql+psycopg://a:pa55word@b:port/c"}, "not a database URL"),
        ({"SQLALCHEMY_DATABASE_URI": "postgresql+psycopg://a:pa55word@b"}, "got a URL without database"),
        ({"SQLALCHEMY_ENGINE_OPTIONS": "{"}, "SQLALCHEMY_ENGINE_OPTIONS: got JSON that ends in an error"),
        ({"SQLALCHEMY_ENGINE_OPTIONS": "[]"}, "SQLALCHEMY_ENGINE_OPTIONS: got a JSON list; wanted an object"),
        ({"SQLALCHEMY_ENGINE_OPTIONS": '{"pool_sise": 1}'}, "got the option 'pool_sise'; wanted some of pool_size"),
        ({"SQLALCHEMY_ENGINE_OPTIONS": '{"pool_size": "1"}'}, "got pool_size as str; wanted int"),
        ({"SQLALCHEMY_ENGINE_OPTIONS": '{"pool_size": true}'}, "got pool_size as bool; wanted int"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL: got 'loud'; wanted one of DEBUG, INFO, WARNING, ERROR"),
        ({"WEB_WORKERS": "0"}, "WEB_WORKERS: got 0; wanted a number of processes from 1 to 64"),
        ({"WEB_THREADS": "many"}, "WEB_THREADS: got 'many'; wanted a number of threads from 1 to 256"),
        ({"WEB_THREADS": "1.5"}, "WEB_THREADS: got 1.5; wanted a whole number of threads"),
        ({"GATEWAY_NETWORKS": "gateway"}, "GATEWAY_NETWORKS: got 'gateway'"),
        ({"MIGRATION_LOCK_TIMEOUT": "-1"}, "MIGRATION_LOCK_TIMEOUT: got -1; wanted a number of seconds"),
        ({"MIGRATION_LOCK_ATTEMPTS": "0"}, "MIGRATION_LOCK_ATTEMPTS: got 0; wanted a number of attempts from 1 to 100"),
        ({"RELEASE": "r" * 129}, "RELEASE: got 129 characters that are not such words; wanted at most 128 letters"),
        ({"RELEASE_DIGEST": "a" * 257}, "RELEASE_DIGEST: got 257 characters that are not such words; wanted at most 2"),
        ({"RELEASE_REVISION": "https://git:pa55word@example.org"}, "RELEASE_REVISION: got 32 characters that are not"),
        ({"RELEASE_BY": "Ada\nLovelace"}, "RELEASE_BY: got 12 characters that are not such words; wanted a person's"),
        ({"RELEASE_BUNDLE": "a b"}, "RELEASE_BUNDLE: got 3 characters that are not such words; wanted at most 128"),
        ({"SECRET_KEY_FILE": "/nowhere"}, "SECRET_KEY: got both SECRET_KEY and SECRET_KEY_FILE; wanted one of them"),
        ({"RELEASE_FILE": "/nowhere"}, "RELEASE_FILE: got /nowhere, which cannot be read (No such file or directory)"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_used_is_named_with_what_was_wanted(changed: dict[str, str], words: str) -> None:
    (problem,) = problems(**changed)
    assert words in problem
    assert "pa55word" not in problem


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"WEB_WORKERS": "0"})
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "SQLALCHEMY_DATABASE_URI",
        "SITE_URL",
        "SECRET_KEY",
        "WEB_WORKERS",
    ]


@pytest.mark.parametrize("name", ["SECRET_KEY", "SQLALCHEMY_DATABASE_URI", "SITE_URL", "LOG_LEVEL", "WEB_WORKERS"])
def test_every_setting_can_be_read_from_a_file(name: str, tmp_path: Path) -> None:
    values = {**GOOD, "LOG_LEVEL": "DEBUG", "WEB_WORKERS": "3"}
    file = tmp_path / "value"
    file.write_text(values.pop(name) + "\n", encoding="utf-8")
    assert load({**values, f"{name}_FILE": str(file)}) == load({**GOOD, "LOG_LEVEL": "DEBUG", "WEB_WORKERS": "3"})


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("\n", encoding="utf-8")
    (problem,) = problems(SECRET_KEY="", SECRET_KEY_FILE=str(file))
    assert problem == f"SECRET_KEY_FILE: got {file}, which is empty; wanted a file that holds the value of SECRET_KEY"


def test_what_is_told_about_a_release_is_taken_as_it_is_and_may_be_missing() -> None:
    told = {
        "RELEASE": "3f2a91bc04",
        "RELEASE_DIGEST": "registry.example.org:5000/site/app@sha256:" + "ab12" * 16,
        "RELEASE_REVISION": "8a649ff-dirty",
        "RELEASE_BY": "Ådä Lovelace <ada@example.org>",
        "RELEASE_BUNDLE": "1b2c3d4e5f",
    }
    settings = load({**GOOD, **told})
    assert [getattr(settings, name.lower()) for name in told] == list(told.values())
    assert load({**GOOD, "RELEASE_BY": "_runner@build-7"}).release_by == "_runner@build-7"
    settings = load({**GOOD, "RELEASE_BY": ""})
    assert (settings.release, settings.release_by, settings.release_bundle) == ("unreleased", None, None)


def test_a_site_without_tls_must_be_asked_for() -> None:
    settings = load({**GOOD, "SITE_URL": "http://127.0.0.1:8000", "INSECURE_SITE_URL_ALLOWED": "true"})
    assert settings.site_url == "http://127.0.0.1:8000"
    assert not settings.https


def test_a_migration_needs_the_database_alone() -> None:
    settings = load({"SQLALCHEMY_DATABASE_URI": GOOD["SQLALCHEMY_DATABASE_URI"]}, serving=False)
    assert settings.production
    assert len(settings.secret_key) > 32


def test_development_needs_the_database_alone() -> None:
    settings = load({"ENVIRONMENT": "development", "SQLALCHEMY_DATABASE_URI": "sqlite:///x.db", "DEBUG": "true"})
    assert settings.debug
    assert settings.site_url == "http://localhost:8000"


def test_secrets_are_not_shown() -> None:
    shown = repr(load({**GOOD, "SECRET_KEY_FALLBACKS": "0ld-0f-tests-abcdefghijklmnopqrstuvwxyz"}))
    assert "pa55word" not in shown
    assert "0f-tests" not in shown


def test_keys_are_read_as_a_list_and_never_as_characters() -> None:
    keys = ["one-abcdefghijklmnopqrstuvwxyz-0123456789", "two-abcdefghijklmnopqrstuvwxyz-0123456789"]
    for given in ("\n".join(keys), f'["{keys[0]}", "{keys[1]}"]'):
        assert load({**GOOD, "SECRET_KEY_FALLBACKS": given}).secret_key_fallbacks == tuple(keys)

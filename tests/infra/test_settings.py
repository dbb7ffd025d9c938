"""A stack's settings: every wrong one is named, with what it got, what is allowed, and the command that mends it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import settings, values
from infra.settings import SettingsError, read

RELEASE_KEY = "ab" * 32
SECRET = "k3y-0123456789-abcdefghijklmnopqrstuvwxyz"
URL = "postgresql+psycopg://app_a:p%40ss%3Aword@db.example.com:6432/scaffold"
DEVELOPMENT = {"environment": "development"}


def problems(given: dict[str, str]) -> list[str]:
    """Return what is wrong with a development stack of these values."""
    with pytest.raises(SettingsError) as caught:
        read(DEVELOPMENT | given)
    return caught.value.problems


def test_the_defaults_make_a_development_stack() -> None:
    configured = read(DEVELOPMENT)
    assert configured.gateway_port == 8000
    assert configured.managed_database is None
    assert not configured.production


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("platform", "nomad", "docker or kubernetes"),
        ("backupSchedule", "at night", "as cron has them"),
        ("backupSchedule", "30 3 * *", "as cron has them"),
        ("backupDrillSchedule", "weekly", "as cron has them, such as 30 3 * * *; or never"),
        ("backupTimezone", "Middle/Earth", "Europe/Berlin"),
        ("backupTimezone", "../../etc/passwd", "Europe/Berlin"),
        ("backupMaxAgeHours", "0", "from 1 to 8784"),
        ("backupKeepMin", "0", "from 1 to 100000"),
        ("backupRecipients", '["AGE-SECRET-KEY-1ABC"]', "a public key of age"),
        ("backupFolder", "backups", "the whole path of a folder"),
        ("backupFolder", "/srv/../etc", "the whole path of a folder"),
        ("backupMemory", "64", "from 256 to 1048576"),
        ("backupS3Endpoint", "http://s3.example.com", "https:// with a host"),
        ("siteUrl", "app.example.com", "scheme and host"),
        ("siteUrl", "https://app.example.com/path", "without path"),
        ("siteUrl", "https://user@app.example.com", "without path, user"),
        ("siteUrl", "https://app.example.com:99999", "scheme and host"),
        ("siteUrl", 'https://a";return 200;"', "scheme and host"),
        ("siteName", "two\nlines", "one line"),
        ("gatewayAddress", "localhost", "an IP address"),
        ("gatewayPort", "0", "from 1 to 65535"),
        ("gatewayPort", "eighty", "a whole number"),
        ("replicas", "true", "a whole number"),
        ("trustedProxies", '["10.0.0.1/8"]', "no host bits"),
        ("trustedProxies", '["0.0.0.0/0"]', "does not hold everybody"),
        ("trustedProxies", '"10.0.0.0/8"', "a list"),
        ("webCpus", "0.50", "one decimal"),
        ("webCpus", "0.0", "one decimal"),
        ("webCpus", "01.0", "one decimal"),
        ("warmPaths", '["//evil.example"]', "starts with one /"),
        ("debug", "yes", "true or false"),
        ("psycopg", "pure", "binary or c"),
        ("sqlalchemyEngineOptions", "[1]", "a JSON object"),
        ("sqlalchemyEngineOptions", "{", "a JSON object"),
        ("databaseMemory", "64", "from 128"),
        ("migrationLockTimeout", "0", "from 1 to 3600"),
        ("migrationLockAttempts", "many", "a whole number"),
        ("migrationStatementTimeout", "86401", "from 1 to 86400"),
        ("migrationLockWait", "-1", "from 0 to 86400"),
        ("migrationDatabaseWait", "1.5", "a whole number"),
        ("maintenanceContactLink", "javascript:alert(1)", "https://"),
        ("maintenanceContactEmail", "nobody", "a mail address"),
        ("dockerHost", "localhost", "unix:///path"),
        ("baseImage", "Debian; rm", "an image reference"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed_and_the_command(key: str, value: str, wanted: str) -> None:
    found = problems({key: value})
    assert len(found) == 1
    assert found[0].startswith(f"{key}: got ")
    assert wanted in found[0]
    assert f"pulumi config set {key}" in found[0]


def test_an_unknown_setting_is_named_with_the_one_that_was_meant() -> None:
    (found,) = problems({"replica": "2"})
    assert found.startswith("replica: there is no such setting; did you mean replicas?")
    assert "pulumi config rm replica" in found


def test_a_value_that_was_piped_in_may_end_with_a_newline() -> None:
    configured = read(DEVELOPMENT | {"secretKey": f"{SECRET}\n", "releaseKey": f"{RELEASE_KEY}\n", "siteName": "A\n"})
    assert configured.secret_key is not None
    assert (configured.secret_key.value, configured.site_name) == (SECRET, "A")


def test_all_problems_are_told_at_once() -> None:
    assert len(problems({"replicas": "0", "debug": "maybe", "nonsense": "1"})) == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [("debug", "true"), ("passwordLoginEnabled", "true"), ("siteUrl", "http://app.example.com")],
)
def test_production_refuses_a_development_value(key: str, value: str) -> None:
    base = {"environment": "production", "siteUrl": "https://app.example.com"}
    assert read(base).production
    with pytest.raises(SettingsError) as caught:
        read(base | {key: value})
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [key]


def test_the_default_environment_is_production() -> None:
    with pytest.raises(SettingsError, match="siteUrl: got 'http://localhost:8000', wanted an https URL"):
        read({})


@pytest.mark.parametrize("value", ["changeme", "short", "a" * 64, "0" * 63 + "1"])
def test_a_guessable_secret_key_is_refused_without_repeating_it(value: str) -> None:
    (found,) = problems({"secretKey": value, "releaseKey": RELEASE_KEY})
    assert found.startswith("secretKey: got a value that does not fit")
    assert value not in found.replace("secretKey", "")


def test_a_configured_secret_needs_the_key_of_its_fingerprint() -> None:
    (found,) = problems({"secretKey": SECRET})
    assert found.startswith("releaseKey: not set")
    assert SECRET not in found


def test_a_fingerprint_depends_on_the_value_and_on_the_key_and_shows_neither() -> None:
    def fingerprint(secret: str, key: str) -> str:
        configured = read(DEVELOPMENT | {"secretKey": secret, "releaseKey": key}).secret_key
        assert configured is not None
        return configured.fingerprint

    one = fingerprint(SECRET, RELEASE_KEY)
    assert one == fingerprint(SECRET, RELEASE_KEY)
    assert one != fingerprint(SECRET + "x", RELEASE_KEY)
    assert one != fingerprint(SECRET, "cd" * 32)
    assert len(one) == 16


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"backupS3Bucket": "copies"}, ["backupS3AccessKey", "backupS3SecretKey"]),
        ({"backupMailTo": '["ops@example.com"]'}, ["backupSmtpUrl", "backupMailFrom"]),
        ({"backupIdentity": f"AGE-SECRET-KEY-1{'A' * 58}", "releaseKey": RELEASE_KEY}, ["backupIdentity"]),
        ({"backupDatabaseUrl": URL, "releaseKey": RELEASE_KEY}, ["backupDatabaseUrl"]),
    ],
)
def test_what_backups_want_together_is_there_together(given: dict[str, str], missing: list[str]) -> None:
    assert [problem.partition(":")[0] for problem in problems(given)] == missing


def test_in_production_what_leaves_for_a_bucket_is_encrypted() -> None:
    bucket = {"backupS3Bucket": "copies", "backupS3AccessKey": "id", "backupS3SecretKey": "key"}
    whole = {"siteUrl": "https://app.example.com", "releaseKey": RELEASE_KEY, **bucket}
    with pytest.raises(SettingsError, match="backupRecipients: not set, though backupS3Bucket is"):
        read(whole)
    assert read(whole | {"backupRecipients": json.dumps([f"age1{'q' * 58}"])}).backups.bucket


def test_a_managed_database_needs_both_of_its_urls() -> None:
    (found,) = problems({"databaseUrl": URL, "releaseKey": RELEASE_KEY})
    assert found.startswith("databaseOwnerUrl: a managed database needs both")
    managed = read(
        DEVELOPMENT | {"databaseUrl": URL, "databaseOwnerUrl": URL, "releaseKey": RELEASE_KEY}
    ).managed_database
    assert managed is not None
    assert (managed.host, managed.port) == ("db.example.com", 6432)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter2@host/database",
        "postgresql+psycopg://user@host/database",
        "postgresql+psycopg://user:hunter2@host",
        "postgresql+psycopg://user:hunter2@host:port/database",
        "postgresql+psycopg://user:pass word@host/database",
    ],
)
def test_a_database_url_in_another_form_is_refused_without_repeating_its_password(url: str) -> None:
    found = problems({"databaseUrl": url, "databaseOwnerUrl": URL, "releaseKey": RELEASE_KEY})
    assert found[0].startswith("databaseUrl: got a value that does not fit")
    assert all("hunter2" not in problem for problem in found)


@given(st.dictionaries(st.sampled_from(sorted(settings.schema())), st.text(max_size=40), max_size=6))
def test_any_text_is_taken_or_refused_by_name(values: dict[str, str]) -> None:
    try:
        read(values)
    except SettingsError as refused:
        for problem in refused.problems:
            assert problem.partition(":")[0] in settings.schema()


@given(st.integers(1, 65535), st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{2,6}){0,2}", fullmatch=True))
def test_a_site_url_keeps_its_meaning(port: int, host: str) -> None:
    url = values.url_of_a_site(f"https://{host.upper()}:{port}/")
    assert url == f"https://{host}" + ("" if port == 443 else f":{port}")


def test_every_setting_is_described_and_has_a_default_that_is_valid_for_a_development_stack() -> None:
    for key, entry in settings.schema().items():
        assert entry["description"].endswith((".", "}")), key
        assert "default" in entry, key
    given = {
        key: entry["default"] if entry["type"] == "string" else json.dumps(entry["default"])
        for key, entry in settings.schema().items()
    }
    assert read(given | DEVELOPMENT) == read(DEVELOPMENT)

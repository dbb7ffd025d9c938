"""The coordinator's settings: what is unusable is refused with the name of the setting, and no part of a secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from backup.error import StopError
from restore import kept, measures, settings
from restore.kept import Kept

GOOD = {
    "RESTORE_ADMIN_URL": "postgresql+psycopg://restore_admin:s3cret@db:5432/scaffold",
    "RESTORE_LOADER_URL": "postgresql://restore_loader:s3cret@db/x",
}


def test_what_is_not_set_has_a_default() -> None:
    chosen = settings.read(GOOD)
    assert chosen.watch == Path("/restore/incoming")
    assert chosen.state == Path("/restore/state.json")
    assert chosen.journal == Path("/restore/state.journal")
    assert chosen.folder("done") == Path("/restore/done")
    assert (chosen.order, chosen.trust, chosen.unhealthy, chosen.factors) == ("load-first", "any", "swap-back", "keep")
    assert (chosen.stop, chosen.start, chosen.stop_wait, chosen.start_wait) == ((), (), 0, 0)
    assert chosen.keep == 2


def test_names_of_containers_are_parted_by_commas() -> None:
    chosen = settings.read({**GOOD, "RESTORE_STOP_CONTAINERS": "web, worker-1", "RESTORE_START_CONTAINERS": "cron"})
    assert (chosen.stop, chosen.start) == (("web", "worker-1"), ("cron",))


def test_a_url_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text(GOOD["RESTORE_ADMIN_URL"] + "\n")
    chosen = settings.read({"RESTORE_ADMIN_URL_FILE": str(path), "RESTORE_LOADER_URL": GOOD["RESTORE_LOADER_URL"]})
    assert chosen.database == "scaffold"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("RESTORE_WATCH_DIR", "incoming"),
        ("RESTORE_WATCH_DIR", "/restore/../etc"),
        ("RESTORE_WATCH_DIR", "/"),
        ("RESTORE_STATE_FILE", "/restore/state"),
        ("RESTORE_POLL_INTERVAL", "0"),
        ("RESTORE_POLL_INTERVAL", "fast"),
        ("RESTORE_STOP_TIMEOUT", "-1"),
        ("RESTORE_STOP_WAIT_SECONDS", "1.5"),
        ("RESTORE_ORDER", "drop-first"),
        ("RESTORE_TRUST", "some"),
        ("RESTORE_UNHEALTHY", "ignore"),
        ("RESTORE_KEEP_PREVIOUS", "0"),
        ("RESTORE_SQLITE_PATH", "/data/app.db"),
        ("RESTORE_ADMIN_URL", "postgresql://a:s3cret@db/host=evil"),
        ("RESTORE_ADMIN_URL", 'postgresql://a:s3cret@db/"; DROP DATABASE x; --'),
        ("RESTORE_ADMIN_URL", "postgresql://a:s3cret@db/postgres"),
        ("RESTORE_ADMIN_URL", "postgresql://a:s3cret@db/" + "x" * 64),
        ("RESTORE_ADMIN_URL", "postgresql://a:s3cret@db/a%0Ab"),
        ("RESTORE_ADMIN_URL", "sqlite:////data/app.db"),
        ("RESTORE_ADMIN_URL", "mysql://a:s3cret@db/x"),
        ("RESTORE_LOADER_URL", ""),
    ],
)
def test_what_is_unusable_is_refused_by_its_name(setting: str, value: str) -> None:
    with pytest.raises(StopError, match=setting) as refused:
        settings.read({**GOOD, setting: value})
    assert "s3cret" not in str(refused.value)


def test_nothing_to_restore_is_refused() -> None:
    with pytest.raises(StopError, match="RESTORE_ADMIN_URL and RESTORE_SQLITE_PATH"):
        settings.read({})


def test_signed_files_alone_need_a_key_to_know_them_by() -> None:
    with pytest.raises(StopError, match="BACKUP_VERIFY_KEYS"):
        settings.read({**GOOD, "RESTORE_TRUST": "signed"})
    public = Ed25519PrivateKey.generate().public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    assert len(settings.read({**GOOD, "RESTORE_TRUST": "signed", "BACKUP_VERIFY_KEYS": pem}).keys) == 1
    private = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert len(settings.read({**GOOD, "BACKUP_VERIFY_KEYS": pem, "BACKUP_SIGNING_KEY": private.decode()}).keys) == 2


def test_no_password_is_in_the_settings_words() -> None:
    assert "s3cret" not in repr(settings.read(GOOD).admin)


def of(*ages: float) -> list[Kept]:
    """Databases that were put aside so many hours ago."""
    return [Kept(f"j{age}", f"d{age}", int(age * 10), -age * 3600) for age in sorted(ages, reverse=True)]


def test_the_newest_are_kept_and_only_for_so_long() -> None:
    found = of(1, 2, 3, 200)
    assert [one.job for one in kept.surplus(found, 2, 168, 0)] == ["j200", "j3"]
    assert [one.job for one in kept.surplus(found, 10, 168, 0)] == ["j200"]
    assert kept.surplus(found, 10, 0, 0) == []


def test_metrics_tell_of_the_newest_restore_and_count_the_rest() -> None:
    receipts: list[dict[str, object]] = [
        {"outcome": "done", "ended": "2026-11-26T08:00:00.000+00:00", "downtime_seconds": 1.25, "rows": 7},
        {"outcome": "rejected"},
        {"outcome": "rejected"},
    ]
    text = measures.render(receipts, "idle", 2, 1)
    assert "scaffold_restore_last_downtime_seconds 1.250\n" in text
    assert 'scaffold_restore_restores{outcome="rejected"} 2\n' in text
    assert "scaffold_restore_queued 2.000\n" in text
    assert "scaffold_restore_held 0.000\n" in text
    assert "scaffold_restore_last_timestamp_seconds 0.000" in measures.render([], "held", 0, 0)

"""The recovery kit: what is in it, what it says, and what is refused before anything on a machine is changed."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from operate import anew, kit, recover, recovering, recovery_kit, up
from operate.kit import About
from operate.recovering import Begun
from operate.request import Request, request_from
from setup.places import places_from
from setup.problem import Problem
from tests.conftest import ROOT

ABOUT = About(
    stack="shop", made_at="2026-11-26T09:00:00+00:00", by="ada@machine", revision="abc123", platform="docker",
    site="https://shop.example.com", bucket="s3://copies/site",
)  # fmt: skip
SETTINGS = b"config:\n  scaffold:backupS3Bucket: copies\nencryptionsalt: v1:abc\n"
FILES = {kit.STATE: b'{"deployment": {}}', kit.PASSPHRASE: b"the passphrase\n", kit.STACK_FILE: SETTINGS}
SEALED = b"age-encryption.org/v1\n-> X25519 and so on"
KEY = b"# made today\nAGE-SECRET-KEY-1QQQQ\n"


def request(home: Path, verb: str = "recover", **environment: str) -> Request:
    """Return what somebody types whose home that is."""
    return request_from(verb, (), {"PATH": os.environ["PATH"], "HOME": str(home), **environment})


def test_what_is_packed_is_opened_as_it_was() -> None:
    opened = kit.opened(kit.packed(ABOUT, FILES))
    assert opened.files == FILES
    assert opened.about == replace(ABOUT, files=opened.about.files)
    assert opened.digest == kit.opened(kit.packed(ABOUT, FILES)).digest
    assert opened.digest != kit.opened(kit.packed(ABOUT, {**FILES, kit.PASSPHRASE: b"another"})).digest


def test_its_page_gives_the_commands_of_the_way_back_with_and_without_this_program() -> None:
    page = kit.unpacked(kit.packed(ABOUT, FILES))[kit.README].decode()
    assert "make recover KIT=FILE IDENTITY=KEYFILE" in page
    assert "pulumi stack import --stack shop --file FOLDER/state.json" in page
    assert "age --decrypt --identity KEYFILE FILE | tar -xz" in page
    for told in ("s3://copies/site", "https://shop.example.com", "abc123", "Pulumi.shop.yaml"):
        assert told in page
    assert all(len(line) <= 120 for line in page.splitlines())


def test_no_representation_of_a_kit_shows_what_is_in_it() -> None:
    assert "the passphrase" not in repr(kit.opened(kit.packed(ABOUT, FILES)))


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_changed_or_missing_file_is_found(name: str) -> None:
    files = kit.unpacked(kit.packed(ABOUT, FILES))
    with pytest.raises(Problem, match=f"damaged: {name}"):
        kit.opened(kit.archive({**files, name: files[name] + b" "}))
    with pytest.raises(Problem, match=f"damaged: {name}"):
        kit.opened(kit.archive({each: content for each, content in files.items() if each != name}))


def test_what_is_no_kit_is_refused() -> None:
    with pytest.raises(Problem, match="no archive"):
        kit.opened(b"something else")
    with pytest.raises(Problem, match="no archive"):
        kit.opened(kit.packed(ABOUT, FILES)[:200])
    with pytest.raises(Problem, match=r"no kit\.json"):
        kit.opened(kit.archive({"state.json": b"{}"}))
    with pytest.raises(Problem, match="is of form 2"):
        kit.opened(kit.packed(replace(ABOUT, schema=2), FILES))
    with pytest.raises(Problem, match=r"a stack '\.\./other'"):
        kit.opened(kit.packed(replace(ABOUT, stack="../other"), FILES))


@pytest.mark.parametrize(("name", "kind"), [("../outside", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)])
def test_an_archive_with_a_path_or_a_link_is_refused(name: str, kind: bytes) -> None:
    made = io.BytesIO()
    with gzip.GzipFile(fileobj=made, mode="wb") as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    with pytest.raises(Problem, match="none of a kit's"):
        kit.unpacked(made.getvalue())


def exported() -> str:
    """Return a state in which a key, a container, and what speaks of both are."""
    root = "urn:pulumi:shop::scaffold::pulumi:pulumi:Stack::scaffold-shop"
    docker = "urn:pulumi:shop::scaffold::pulumi:providers:docker::docker"
    chance = "urn:pulumi:shop::scaffold::pulumi:providers:random::random"
    key = "urn:pulumi:shop::scaffold::random:index/randomPassword:RandomPassword::factor-key"
    volume = "urn:pulumi:shop::scaffold::docker:index/volume:Volume::volume-database"
    stash = "urn:pulumi:shop::scaffold::pulumi:index:Stash::attempt"
    resources: list[dict[str, Any]] = [
        {"urn": root, "type": "pulumi:pulumi:Stack", "outputs": {"release": "abc"}},
        {"urn": docker, "type": "pulumi:providers:docker", "id": "1", "parent": root},
        {"urn": chance, "type": "pulumi:providers:random", "id": "2", "parent": root},
        {
            "urn": key, "type": "random:index/randomPassword:RandomPassword", "id": "none", "parent": root,
            "provider": f"{chance}::2", "outputs": {"result": "secret"},
        },
        {
            "urn": volume, "type": "docker:index/volume:Volume", "id": "v", "parent": root, "protect": True,
            "provider": f"{docker}::1",
        },
        {
            "urn": stash, "type": "pulumi:index:Stash", "id": "s", "parent": root, "dependencies": [key, volume],
            "propertyDependencies": {"input": [volume, key], "other": []},
        },
    ]  # fmt: skip
    pending = [{"type": "creating", "resource": {"urn": volume}}]
    return json.dumps({"version": 3, "deployment": {"resources": resources, "pending_operations": pending}})


def test_a_state_is_taken_without_its_machine_and_with_its_keys() -> None:
    document = json.loads(anew.without_the_machine(exported()))
    kept = {each["urn"].rpartition("::")[2]: each for each in document["deployment"]["resources"]}
    assert list(kept) == ["scaffold-shop", "random", "factor-key", "attempt"]
    assert kept["factor-key"]["outputs"] == {"result": "secret"}
    assert kept["factor-key"]["provider"].endswith("::random::2")
    assert kept["scaffold-shop"]["outputs"] == {"release": "abc"}
    assert kept["attempt"]["dependencies"] == [kept["factor-key"]["urn"]]
    assert kept["attempt"]["propertyDependencies"] == {"input": [kept["factor-key"]["urn"]], "other": []}
    assert "pending_operations" not in document["deployment"]
    assert document["version"] == 3
    assert anew.holds_keys(exported()) == ["factor-key"]


def test_the_file_is_the_one_that_is_named_or_one_in_that_folder_or_at_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    named = {"": home / "a.age", str(tmp_path): tmp_path / "a.age", str(tmp_path / "b.age"): tmp_path / "b.age"}
    for given, wanted in named.items():
        assert recovery_kit.target_of(request(home, TO=given), "a.age") == wanted
    (tmp_path / "link").symlink_to(tmp_path / "c.age")
    for given in (str(tmp_path / "nowhere" / "a.age"), str(tmp_path / "link")):
        with pytest.raises(Problem, match="no file can be written there"):
            recovery_kit.target_of(request(home, TO=given), "a.age")


def test_no_kit_is_made_where_the_verb_is_told_more_or_nothing_encrypts(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="takes no arguments"):
        recovery_kit.run(replace(request(tmp_path, "recovery-kit"), arguments=("now",)))
    own = request(tmp_path, "recovery-kit", STACK="there-is-no-such-stack")
    with pytest.raises(Problem, match="has not encrypted the kit"):
        recovery_kit.encrypted(own, "name", b"in the clear")


def test_a_kit_and_a_key_that_are_none_are_refused_before_anything_is_looked_at(tmp_path: Path) -> None:
    sealed, key = tmp_path / "kit.age", tmp_path / "key"
    sealed.write_bytes(SEALED)
    key.write_bytes(KEY)
    assert recover.kit_file(request(tmp_path, KIT=str(sealed))) == SEALED
    assert recover.key_of(request(tmp_path, IDENTITY=str(key))) == KEY
    for given, words in (
        ("", "KIT names no file"),
        (str(tmp_path / "no"), "cannot be read"),
        (str(key), "no recovery"),
    ):
        with pytest.raises(Problem, match=words):
            recover.kit_file(request(tmp_path, KIT=given))
    with pytest.raises(Problem, match="no private key of age") as found:
        recover.key_of(request(tmp_path, IDENTITY=str(sealed)))
    assert SEALED.decode() not in str(found.value)
    with pytest.raises(Problem, match="does not know"):
        recover.refuse_other_words(replace(request(tmp_path), arguments=("--all",)))
    with pytest.raises(Problem, match="a backup's name is wanted"):
        recover.refuse_other_words(request(tmp_path, BACKUP="../x"))


def test_without_a_terminal_a_key_has_to_come_from_a_file(tmp_path: Path) -> None:
    sealed = tmp_path / "kit.age"
    sealed.write_bytes(SEALED)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KIT": str(sealed)}
    done = subprocess.run(
        [sys.executable, "-m", "operate", "recover"],
        input=KEY.decode(), capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env=environment,
    )  # fmt: skip
    assert done.returncode == 1
    assert "IDENTITY names no file" in done.stdout
    assert not (tmp_path / ".local").exists()


def test_what_is_there_already_is_in_the_way(tmp_path: Path) -> None:
    opened = kit.opened(kit.packed(ABOUT, FILES))
    own = replace(request(tmp_path), stack="shop")
    places = own.places
    assert recover.in_the_way(own, opened, None, only_state=True) == []
    (places.state / "stacks").mkdir(parents=True)
    places.passphrase.write_text("the passphrase")
    assert recover.in_the_way(own, opened, None, only_state=True) == [], "that of another stack of the lost machine's"
    places.passphrase.write_text("another one")
    places.stack_file("shop").write_text("config: {}\n")
    state = places.backend / ".pulumi" / "stacks" / "scaffold"
    state.mkdir(parents=True)
    (state / "shop.json").write_text('{"checkpoint": {"latest": {}}}')
    named = replace(own, environment={**own.environment, "PULUMI_CONFIG_PASSPHRASE": "x"})
    words = [problem.cause for problem in recover.in_the_way(named, opened, Begun("other", "latest"), only_state=True)]
    for wanted in (
        "with another kit",
        "knows a stack shop",
        "stack.yaml",
        "is another one than the kit's",
        "names a pass",
    ):
        assert any(wanted.replace("stack.yaml", "Pulumi.shop.yaml is there") in each for each in words), (wanted, words)


def test_a_stack_on_a_cluster_and_one_without_a_bucket_are_told_what_to_do(tmp_path: Path) -> None:
    own = replace(request(tmp_path), stack="shop-that-is-nowhere")
    cluster = kit.opened(kit.packed(replace(ABOUT, platform="kubernetes"), FILES))
    (problem,) = recover.on_the_platform(own, cluster)
    assert "is on kubernetes" in problem.cause
    assert "ARGS=--only-state" in problem.fix
    bare = kit.opened(kit.packed(ABOUT, {**FILES, kit.STACK_FILE: b"config: {}\n"}))
    (problem,) = recover.on_the_platform(own, bare)
    assert "has no bucket" in problem.cause
    assert recover.on_the_platform(own, kit.opened(kit.packed(ABOUT, FILES))) == []


def settings(*lines: str) -> bytes:
    """Return a stack file."""
    return "".join(["config:\n", *(f"  scaffold:{line}\n" for line in lines)]).encode()


def test_the_data_comes_from_an_archive_in_a_bucket_unless_a_backup_is_asked_for(tmp_path: Path) -> None:
    def opened(*lines: str) -> kit.Kit:
        return kit.opened(kit.packed(ABOUT, {**FILES, kit.STACK_FILE: settings(*lines)}))

    archived, both = opened("pitrS3Bucket: logs"), opened("pitrS3Bucket: logs", "backupS3Bucket: copies")
    own = replace(request(tmp_path), stack="shop-that-is-nowhere")
    asked = replace(own, environment={**own.environment, "BACKUP": "latest"})
    assert recover.on_the_platform(own, archived) == []
    (problem,) = recover.on_the_platform(asked, archived)
    assert "no bucket (backupS3Bucket)" in problem.cause
    assert recover.on_the_platform(asked, both) == []
    begun = recover.begin(own, both, only_state=False)
    assert begun.backup == "archive"
    assert recover.begin(own, both, only_state=False) == begun
    assert recover.begin(asked, both, only_state=False).backup == "latest", "when the archive does not lead to its end"
    assert recover.begin(own, both, only_state=False).backup == "latest", "which goes on as it was begun"
    back = replace(own, environment={**own.environment, "BACKUP": "archive"})
    assert recover.begin(back, both, only_state=False).backup == "archive", "while nothing has been put back"
    recover.begin(asked, both, only_state=False)
    recovering.write(own.places, own.stack, replace(begun, backup="latest", state=True))
    with pytest.raises(Problem, match="begun from the backup 'latest'"):
        recover.begin(back, both, only_state=False)
    assert recovering.read(own.places, own.stack) == replace(begun, backup="latest", state=True)
    (problem,) = recover.on_the_platform(back, opened("backupS3Bucket: copies"))
    assert "no bucket (pitrS3Bucket)" in problem.cause


@pytest.mark.parametrize(
    ("prefix", "following"), [("", "pitr-2"), ("shop", "shop-2"), ("shop-2", "shop-3"), ("a/b-log", "a/b-log-2")]
)
def test_an_archive_that_is_begun_anew_has_another_prefix(prefix: str, following: str) -> None:
    assert recover.prefix_anew(prefix, prefix) == following
    assert recover.prefix_anew(prefix, following) == following, "when the recovery goes on"
    assert recover.prefix_anew(prefix, "third") == "third", "which somebody has named, as that one is in use"


def test_a_recovery_that_was_begun_stops_every_other_update_until_it_has_ended(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    places = places_from(environment, ROOT)
    assert recovering.unended(places, "dev") is None
    recovering.write(places, "dev", Begun("digest", "latest"))
    recovering.write(places, "dev", replace(recovering.read(places, "dev") or Begun("", ""), state=True))
    assert recovering.read(places, "dev") == Begun("digest", "latest", state=True)
    (problem,) = up.of_the_state(request(tmp_path, "up"))
    assert "was begun and has not ended" in problem.cause
    assert up.of_the_state(request(tmp_path, "recover")) == []
    recovering.file_of(places, "dev").write_text("{")
    assert recovering.unended(places, "dev") is not None, "one that cannot be read is one"
    recovering.end(places, "dev")
    assert up.of_the_state(request(tmp_path, "up")) == []


def test_what_was_loaded_is_told_in_words() -> None:
    done = {"level": "info", "event": "x", "id": "20261126T010203Z-abcdef", "of": "2026-11-26", "rows": 7, "tables": 3}
    warned = {"level": "warning", "event": "the database holds tables already: nothing was loaded"}
    told = recover.loaded(["no JSON", json.dumps(done), json.dumps(warned)])
    assert told[0] == "Loaded: the backup 20261126T010203Z-abcdef, 7 rows in 3 tables."
    assert told[-1] == "Look: the database holds tables already: nothing was loaded"
    last = {"level": "info", "event": "last completed transaction was at log time 2026-11-26 17:32:42.4+00"}
    proven = {"level": "info", "event": "restored and proven", "along": 1, "rows": {"a": 3, "b": 4}, "tables": {"a": 2}}
    assert recover.loaded([json.dumps(last), json.dumps(proven)]) == [
        "The archive's last commit is of 2026-11-26 17:32:42.4+00; what came after is lost.",
        "Restored: the archive to its end, 7 rows in 2 tables, each page looked at.",
    ]

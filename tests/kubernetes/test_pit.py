"""Going back to a moment with `make`, on a cluster: a claim more, filled by a job beside the database, then its own."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterator

import pytest

from tests.kubernetes.cluster import RunningCluster
from tests.kubernetes.site import free_node_port
from tests.kubernetes.verbs import ClusterClone, make_cluster_clone, write_settings

pytestmark = pytest.mark.slow

PREFIX = "pit-"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, cluster: RunningCluster, run_id: str) -> Iterator[ClusterClone]:
    """A clone whose stack archives, after its first `make up`."""
    cluster.remove_what_dead_runs_left(f"scaffold-{PREFIX}")
    clone = make_cluster_clone(tmp_path_factory.mktemp("pit"), cluster, f"{PREFIX}{run_id}", free_node_port())
    write_settings(clone, pitr="true", pitrStorage="1", databaseStorage="1", backups="false", replicas="1")
    try:
        code, said = clone.make("up")
        assert code == 0, said
        yield clone
    finally:
        cluster.remove_namespace(clone.namespace)


def inside(clone: ClusterClone, *command: str) -> str:
    """Run a command in the database's pod."""
    return clone.kubectl("exec", "database-0", "--", *command).strip()


def sql(clone: ClusterClone, statement: str) -> str:
    """Run a statement as the superuser."""
    return inside(clone, "psql", "-XqAt", "-d", "scaffold", "-c", statement)


def until(clone: ClusterClone, verb: str, seconds: float = 120) -> str:
    """Run a verb until it goes well, and return what it said."""
    deadline = time.monotonic() + seconds
    while (done := clone.make(verb))[0] != 0:
        assert time.monotonic() < deadline, done[1]
        time.sleep(1)
    return done[1]


def test_the_database_goes_back_to_a_moment_on_a_claim_of_its_own(story: ClusterClone) -> None:
    assert "Every moment can be reached of" in until(story, "pit")
    sql(story, "CREATE TABLE story (name text); INSERT INTO story VALUES ('kept')")
    time.sleep(1.1)
    then = datetime.datetime.now().astimezone()
    time.sleep(1.1)
    sql(story, "INSERT INTO story VALUES ('regretted')")

    code, said = story.make("restore-pit", TO="2020-01-01 00:00", YES="yes")
    assert code != 0
    assert "cannot be reached" in said
    code, said = story.make("restore-pit", TO=then.strftime("%Y-%m-%d %H:%M:%S"), YES="yes")
    assert code == 0, said
    assert sql(story, "SELECT string_agg(name, ',') FROM story") == "kept"
    assert story.get("/readyz")[0] == 200
    assert {"database", "database-2", "archive"} <= story.names("persistentvolumeclaims")
    (pod,) = (each for each in story.objects("pods") if each["metadata"]["name"] == "database-0")
    volumes = pod["spec"]["volumes"]
    claims = {row["persistentVolumeClaim"]["claimName"] for row in volumes if "persistentVolumeClaim" in row}
    assert claims == {"database-2", "archive"}


def test_another_update_changes_nothing_and_the_archive_goes_on(story: ClusterClone) -> None:
    code, said = story.make("up", "--expect-no-changes")
    assert code == 0, said
    told = json.loads(inside(story, "python3", "-m", "server", "window", "seal"))
    assert told["sealed"] is True
    assert {each["timeline"] for each in told["windows"]} == {1, 2}


def test_the_earlier_claim_is_gone_once_it_is_forgotten(story: ClusterClone) -> None:
    code, said = story.make("forget-volume", NAME="database", YES="yes")
    assert code == 0, said
    assert story.names("persistentvolumeclaims") >= {"database-2", "archive"}
    assert "database" not in story.names("persistentvolumeclaims")
    assert story.get("/readyz")[0] == 200

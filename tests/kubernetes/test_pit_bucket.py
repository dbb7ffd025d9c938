"""The archive in a bucket, with `make`, on a cluster: past the policies, with the key in a Secret, and back from it."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cluster.shape import shape_of_tests
from tests.backup.store import BUCKET, KEY_ID, SECRET, OnTheMachine
from tests.conftest import until
from tests.kubernetes.cluster import RunningCluster
from tests.kubernetes.site import free_node_port
from tests.kubernetes.verbs import ClusterClone, make_cluster_clone, write_settings

pytestmark = pytest.mark.slow

PREFIX = "log-"


@dataclass
class Story:
    """A clone whose stack archives into a bucket, and the server that has it."""

    clone: ClusterClone
    server: OnTheMachine

    def inside(self, *command: str) -> str:
        """Run a command in the database's pod."""
        return self.clone.kubectl("exec", "database-0", "--", *command).strip()

    def sql(self, statement: str) -> str:
        """Run a statement as the superuser."""
        return self.inside("psql", "-XqAt", "-d", "scaffold", "-c", statement)

    def sets(self, key: str, value: str) -> None:
        """Set a setting by a pipe."""
        secret = ["--secret"] if key.endswith("Key") else []
        done = subprocess.run(
            [sys.executable, "-m", "operate", "config", "set", *secret, key],
            input=value, text=True, capture_output=True, timeout=120, check=False, cwd=self.clone.folder,
            env=self.clone.environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, cluster: RunningCluster, run_id: str) -> Iterator[Story]:
    """A clone whose stack archives into a bucket, after its first `make up`."""
    cluster.remove_what_dead_runs_left(f"scaffold-{PREFIX}")
    folder = tmp_path_factory.mktemp("pit-bucket")
    (folder / "s3").mkdir()
    server = OnTheMachine(folder / "s3", str(shape_of_tests().host_address))
    clone = make_cluster_clone(folder, cluster, f"{PREFIX}{run_id}", free_node_port())
    write_settings(
        clone, pitr="true", pitrStorage="1", databaseStorage="1", backups="false", replicas="1", pitrS3Bucket=BUCKET,
        pitrS3Endpoint=server.endpoint,
    )  # fmt: skip
    made = Story(clone, server)
    server.start()
    try:
        made.sets("pitrS3Authorities", server.authorities)
        made.sets("pitrS3AccessKey", KEY_ID)
        made.sets("pitrS3SecretKey", SECRET)
        code, said = clone.make("up")
        assert code == 0, said
        yield made
    finally:
        server.stop()
        cluster.remove_namespace(clone.namespace)


def test_a_moment_comes_back_from_the_bucket(story: Story) -> None:
    until(lambda: story.clone.make("pit")[0] == 0, "base backup", 120)
    story.sql("CREATE TABLE story (name text); INSERT INTO story VALUES ('kept')")
    time.sleep(1.1)
    then = datetime.datetime.now().astimezone()
    time.sleep(1.1)
    story.sql("INSERT INTO story VALUES ('regretted')")
    code, said = story.clone.make("restore-pit", TO=then.strftime("%Y-%m-%d %H:%M:%S"), YES="yes")
    assert code == 0, said
    assert story.sql("SELECT string_agg(name, ',') FROM story") == "kept"
    told = json.loads(story.inside("python3", "-m", "server", "window", "seal"))
    assert (told["sealed"], told["gaps"]) == (True, [])
    assert {path.name for path in (story.server.data / "pitr").iterdir()} == {"archive", "backup"}


def test_another_update_changes_nothing_and_no_secret_is_in_a_pods_description(story: Story) -> None:
    code, said = story.clone.make("up", "--expect-no-changes")
    assert code == 0, said
    seen = story.clone.kubectl("get", "pods,configmaps,statefulsets,jobs", "--output=json")
    assert SECRET not in seen + story.clone.kubectl("logs", "database-0")

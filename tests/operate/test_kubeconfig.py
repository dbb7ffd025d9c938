"""Which kubeconfig leads to a stack's cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from setup.kubeconfig import HOME, LOCAL, SETTING, VARIABLE, Source, choose


@pytest.mark.parametrize(
    ("setting", "variable", "at_home", "wanted"),
    [
        ("/a/config", "/b", True, Source(SETTING, "/a/config")),
        (None, "/b:/c", True, Source(VARIABLE, "/b:/c")),
        ("", "/gone", False, Source(VARIABLE, "/gone")),
        (None, "", True, Source(HOME, "HOME/.kube/config")),
        (None, ":", False, Source(LOCAL)),
        (None, None, False, Source(LOCAL)),
    ],
)
def test_what_is_named_goes_first_and_the_local_cluster_is_for_those_who_name_none(
    tmp_path: Path, setting: str | None, variable: str | None, at_home: bool, wanted: Source
) -> None:
    if at_home:
        (tmp_path / ".kube").mkdir()
        (tmp_path / ".kube" / "config").touch()
    environment = {} if variable is None else {"KUBECONFIG": variable}
    found = choose(setting, environment, tmp_path)
    assert found == Source(wanted.kind, wanted.path.replace("HOME", str(tmp_path)))

"""Settings sized from memory, and where the limit comes from."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server import memory, setting, settings
from server.error import StopError

MEMORY = st.integers(memory.SMALLEST_MB, 1 << 20)


@given(MEMORY)
def test_the_server_fits_in_its_memory_even_when_busy(megabytes: int) -> None:
    sizing = settings.size(megabytes)
    assert sizing.demand() <= megabytes
    assert sizing.shared_buffers >= 16
    assert sizing.work_mem >= 1
    assert sizing.maintenance_work_mem >= 4
    assert 20 <= sizing.max_connections <= 200
    assert sizing.max_connections > settings.SUPERUSER_CONNECTIONS + settings.RESERVED_CONNECTIONS


@given(MEMORY, MEMORY)
def test_more_memory_never_means_fewer_connections_or_buffers(one: int, other: int) -> None:
    small, large = settings.size(min(one, other)), settings.size(max(one, other))
    assert small.max_connections <= large.max_connections
    assert small.shared_buffers <= large.shared_buffers
    assert small.effective_cache_size <= large.effective_cache_size


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text(st.characters(exclude_characters="\n\r\0"))))
def test_a_value_is_read_back_as_it_was(values: dict[str, str]) -> None:
    lines = settings.render(values).split("\n")[1:-1]
    read = {}
    for text in lines:
        name, _, quoted = text.partition(" = ")
        read[name] = quoted[1:-1].replace("''", "'").replace("\\\\", "\\")
    assert read == values


@pytest.mark.parametrize(
    ("configured", "cgroup", "megabytes", "source"),
    [
        ("1024", "536870912", 1024, "MEMORY_LIMIT_MB"),
        (None, "536870912\n", 512, "cgroup"),
        (None, "max\n", 512, "default"),
        (None, "9223372036854771712\n", 512, "default"),
        (None, None, 512, "default"),
    ],
)
def test_the_limit_is_the_setting_else_the_cgroups_else_modest(
    configured: str | None, cgroup: str | None, megabytes: int, source: str
) -> None:
    limit = memory.decide(configured, cgroup, 24_000)
    assert limit.megabytes == megabytes
    assert limit.source.startswith(source)


@pytest.mark.parametrize("configured", ["", "many", "12.5", "-1", "127", "²"])
def test_a_limit_that_is_no_size_is_refused_naming_it(configured: str) -> None:
    with pytest.raises(StopError, match=r"MEMORY_LIMIT_MB: got .* wanted a whole number of MiB from 128"):
        memory.decide(configured, None, 24_000)


def test_a_setting_comes_from_its_file_and_both_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("512\n")
    assert setting.read("X", {"X_FILE": str(tmp_path / "x")}) == "512"
    assert setting.read("X", {"X": "1"}) == "1"
    assert setting.read("X", {}) is None
    with pytest.raises(StopError, match="X and X_FILE are both set"):
        setting.read("X", {"X": "1", "X_FILE": str(tmp_path / "x")})
    with pytest.raises(StopError, match=r"X_FILE: cannot read .*absent: No such file"):
        setting.read("X", {"X_FILE": str(tmp_path / "absent")})


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf", "86401"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(StopError, match="STOP_TIMEOUT: got"):
        setting.seconds("STOP_TIMEOUT", 9, {"STOP_TIMEOUT": text})

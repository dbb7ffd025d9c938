"""Loads the generated protocol modules without the Pulumi SDK around them, which halves a plugin's start."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

PACKAGES = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto")


def skip_sdk() -> None:
    """Stand empty packages in for `pulumi`, so that `pulumi.runtime.proto.*_pb2` load alone.

    For a plugin's own process and before any other import of `pulumi`: code that needs the SDK cannot run afterwards.
    Does nothing where the SDK is loaded already. Raises ModuleNotFoundError when `pulumi` is not installed.
    """
    if "pulumi" in sys.modules:
        return
    spec = importlib.util.find_spec("pulumi")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the package `pulumi` is not installed in the plugins' environment", name="pulumi")
    root = Path(spec.submodule_search_locations[0]).parent
    for name in PACKAGES:
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")))]
        sys.modules[name] = package

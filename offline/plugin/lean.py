"""Loads what the protocol takes and nothing around it: no Pulumi SDK, no asyncio. That is most of a plugin's start."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from pathlib import Path

PACKAGES = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto")
ASYNCHRONOUS = ("asyncio", "grpc.aio")


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


def skip_asyncio() -> None:
    """Load gRPC without its asynchronous half, which no plugin uses and which takes as long to load as the rest.

    For a plugin's own process and before any other import of `grpc`, whose `aio` cannot run afterwards; asyncio by
    itself can. Does nothing where either is loaded already.
    """
    if "grpc" in sys.modules or "asyncio" in sys.modules:
        return
    sys.modules.update({name: types.ModuleType(name) for name in ASYNCHRONOUS})
    try:
        importlib.import_module("grpc")
    finally:
        for name in ASYNCHRONOUS:
            del sys.modules[name]

"""Settings become a system, a platform runs it, and its addresses are the stack's outputs."""

from __future__ import annotations

import os
from pathlib import Path

import pulumi

from infra import attempt, history, origin, outputs, recovery, settings, system
from infra.platforms import platform_of

pulumi.require_pulumi_version(">=3.256.0")

configured = settings.from_stack()
before = history.of_this_stack()
tried = attempt.before(configured, before)
comes_from = origin.of(Path(__file__).resolve().parent, os.environ)
loads = recovery.wanted(os.environ)
described, made = system.describe(configured, pulumi.get_project(), pulumi.get_stack(), tried, comes_from, loads)
platform = platform_of(configured)
former = platform.check(described, configured)
described = attempt.marked(described)
serving = platform.run(described, configured, former)
attempt.remember(configured, described.release, made, serving, comes_from, tried)
for name, value in outputs.of(configured, platform.addresses(described), serving, made, before, comes_from).items():
    pulumi.export(name, value)

"""Settings become a system, a platform runs it, and its addresses are the stack's outputs."""

from __future__ import annotations

import pulumi

from infra import outputs, settings, system
from infra.platforms import platform_of

pulumi.require_pulumi_version(">=3.256.0")

configured = settings.from_stack()
described = system.describe(configured, pulumi.get_project(), pulumi.get_stack())
platform = platform_of(configured)
serving = platform.run(described, configured)
for name, value in outputs.of(configured, platform.addresses(described), serving).items():
    pulumi.export(name, value)

"""Counts of what became of requests, the first failures in full, and when each release was seen."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from prober.fate import Outcome, Verdict
from prober.histogram import Histogram

KEPT_FAILURES = 20
QUICK = ("get", "fresh", "post")


@dataclass
class Seen:
    """When a release answered first and last, in seconds since the start, and how often."""

    first: float
    last: float
    count: int = 0


@dataclass
class Tally:
    """What became of the requests of a run, or of a lap of it; its size does not grow with their number."""

    sent: int = 0
    outstanding: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    fates: Counter[str] = field(default_factory=Counter)
    latencies: dict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    releases: dict[str, Seen] = field(default_factory=dict)
    failures: list[Outcome] = field(default_factory=list)
    pages: Seen | None = None
    connections: int = 0
    idle_closed: int = 0
    idle_broken: int = 0
    began: float = 0.0

    @property
    def served(self) -> int:
        """How many got what they asked for."""
        return self.verdicts[Verdict.SERVED]

    @property
    def paged(self) -> int:
        """How many got the maintenance page."""
        return self.verdicts[Verdict.PAGE]

    @property
    def failed(self) -> int:
        """How many got neither, with the connections that broke while nobody used them."""
        return self.verdicts[Verdict.FAILED] + self.idle_broken

    def begin(self) -> None:
        """Count a request that is under way."""
        self.sent += 1
        self.outstanding += 1

    def end(self, outcome: Outcome) -> None:
        """Count what became of one."""
        self.outstanding -= 1
        self.verdicts[outcome.verdict] += 1
        self.fates[f"{outcome.kind} {outcome.status or outcome.fate}"] += 1
        self.latencies[outcome.kind].add(outcome.latency)
        at = outcome.due + outcome.latency
        if outcome.release:
            see(self.releases.setdefault(outcome.release, Seen(at, at)), at)
        if outcome.verdict is Verdict.PAGE:
            self.pages = self.pages or Seen(at, at)
            see(self.pages, at)
        if outcome.verdict is Verdict.FAILED and len(self.failures) < KEPT_FAILURES:
            self.failures.append(outcome)

    def percentile(self, share: float, kinds: tuple[str, ...] = QUICK) -> float:
        """Return a percentile of the latencies of some kinds together."""
        whole = Histogram()
        for kind in kinds:
            if kind in self.latencies:
                whole.buckets.update(self.latencies[kind].buckets)
                whole.count += self.latencies[kind].count
                whole.most = max(whole.most, self.latencies[kind].most)
        return whole.percentile(share)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {
            "sent": self.sent,
            "verdicts": dict(self.verdicts),
            "fates": dict(sorted(self.fates.items())),
            "milliseconds": {
                kind: {f"p{share:g}": round(found.percentile(share / 100) * 1000, 2) for share in (50, 90, 99, 100)}
                for kind, found in sorted(self.latencies.items())
            },
            "releases": {release: vars(seen) for release, seen in self.releases.items()},
            "pages": vars(self.pages) if self.pages else None,
            "connections": {"opened": self.connections, "closed": self.idle_closed, "broken": self.idle_broken},
            "failures": [outcome.plain() for outcome in self.failures],
        }


def see(seen: Seen, at: float) -> None:
    """Note another sight."""
    seen.first, seen.last, seen.count = min(seen.first, at), max(seen.last, at), seen.count + 1

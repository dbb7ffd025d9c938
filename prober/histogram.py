"""Latencies in buckets that grow by two percent, so that a long run takes no more memory than a short one."""

from __future__ import annotations

import math
from collections import Counter

GROWTH = math.log(1.02)
LEAST = 1e-5


class Histogram:
    """Counts of latencies."""

    def __init__(self) -> None:
        self.buckets: Counter[int] = Counter()
        self.count = 0
        self.most = 0.0

    def add(self, seconds: float) -> None:
        """Count a latency."""
        self.buckets[math.ceil(math.log(max(seconds, LEAST) / LEAST) / GROWTH)] += 1
        self.count += 1
        self.most = max(self.most, seconds)

    def percentile(self, share: float) -> float:
        """Return the latency that this share (0 to 1) of all stays within; 0 where there are none."""
        wanted = share * self.count
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= wanted:
                return min(LEAST * math.exp(bucket * GROWTH), self.most)
        return self.most

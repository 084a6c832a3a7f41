"""Durations counted in buckets: as much memory for a hundred runs as for a hundred million."""

from __future__ import annotations

import math

_GROWTH = 1.02
"""Neighbouring buckets are 2 % apart: a percentile is at most 1 % off, and exact up to 50 ms."""
_EXACT_MS = 50


class Durations:
    """How long something took, in ms: count, mean and percentiles."""

    def __init__(self) -> None:
        self.count = 0
        self.total_ms = 0
        self._buckets: dict[int, int] = {}

    def add(self, took_ms: int) -> None:
        """Counts one; below 0 counts as 0."""
        took_ms = max(took_ms, 0)
        self.count += 1
        self.total_ms += took_ms
        bucket = _bucket(took_ms)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    def percentile(self, share: float) -> int:
        """The duration that `share` (0 to 1) of all stay within; 0 if there are none."""
        wanted, seen = share * self.count, 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return _middle_ms(bucket)
        return 0


def _bucket(took_ms: int) -> int:
    if took_ms <= _EXACT_MS:
        return took_ms
    return _EXACT_MS + math.ceil(math.log(took_ms / _EXACT_MS) / math.log(_GROWTH))


def _middle_ms(bucket: int) -> int:
    if bucket <= _EXACT_MS:
        return bucket
    return int(_EXACT_MS * math.pow(_GROWTH, bucket - _EXACT_MS - 0.5) + 0.5)

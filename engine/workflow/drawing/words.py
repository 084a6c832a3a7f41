"""How long something takes, in as few letters as a picture has room for."""

from __future__ import annotations

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


def length(span_ms: int) -> str:
    """Return milliseconds as they are written in pipelines: `3d`, `1h30m`, `250ms`."""
    parts: list[str] = []
    for unit, size_ms in _UNITS:
        number, span_ms = divmod(span_ms, size_ms)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0ms"


def took(span_ms: float) -> str:
    """Return a measured time: `12 ms`, `1.5 s`, `4m10s`."""
    if span_ms < 1_000:
        return f"{span_ms:.0f} ms"
    if span_ms < 60_000:
        return f"{span_ms / 1000:.1f} s"
    return length(int(span_ms) // 1_000 * 1_000)

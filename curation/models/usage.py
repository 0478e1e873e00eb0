"""What backends count while they work: models loaded, tokens, cost. The engine takes it with every item it reports."""

from threading import Lock

LOADS = "loads of "
"""Begins the name of the count of a model's loads."""

_counts: dict[str, float] = {}
_lock = Lock()


def count(what: str, amount: float = 1.0) -> None:
    """Add to a count. From any thread."""
    with _lock:
        _counts[what] = _counts.get(what, 0.0) + amount


def take_counts() -> dict[str, float]:
    """What was counted in this process since the last call."""
    with _lock:
        taken = dict(_counts)
        _counts.clear()
    return taken

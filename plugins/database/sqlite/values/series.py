"""Series of values between two ends."""

from __future__ import annotations

import msgspec

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.temporal import intervals, moments, spans

_MOST = 1_000_000


def _step_is_zero() -> DatabaseError:
    return DatabaseError("step size cannot equal zero", sqlstate="22023")


def _too_many() -> DatabaseError:
    return DatabaseError(f"a series of more than {_MOST} values is not supported on SQLite", sqlstate="54000")


def whole_numbers(start: int | None, stop: int | None, step: int | None = 1) -> str | None:
    """Return the numbers from one to another, both included, as a JSON array."""
    if start is None or stop is None or step is None:
        return None
    if step == 0:
        raise _step_is_zero()
    found = range(start, stop + (1 if step > 0 else -1), step)
    if len(found) > _MOST:
        raise _too_many()
    return msgspec.json.encode(list(found)).decode()


def moments_between(start: str | None, stop: str | None, step: str | None) -> str | None:
    """Return the timestamps from one to another, both included, as a JSON array."""
    if start is None or stop is None or step is None:
        return None
    interval = intervals.parse(step)
    direction = intervals.compare(step, "00:00:00")
    if direction == 0:
        raise _step_is_zero()
    moment, last = moments.to_datetime(start), moments.to_datetime(stop)
    found: list[str] = []
    while moment <= last if direction > 0 else moment >= last:
        if len(found) >= _MOST:
            raise _too_many()
        found.append(spans.written(moment))
        moment = spans.shifted(moment, interval)
    return msgspec.json.encode(found).decode()

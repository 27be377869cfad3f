"""What a supervisor and its workers say to each other."""

from __future__ import annotations

import msgspec

# Over the line between them, one byte each; the line's end means to stop.
READY = b"r"
RETIRE = b"q"


class Orders(msgspec.Struct, frozen=True):
    """What a worker is told on its command line; descriptors are inherited, `on_ready` is ``module:function``."""

    project: str
    url: str
    on_ready: str | None = None
    listener: int = -1
    lifeline: int = -1

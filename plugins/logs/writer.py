"""A thread that renders and writes, so that no request waits for a terminal, a pipe or a disk."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import TextIO

from plugins.logs.entries import Entry
from plugins.logs.rendering import Render

GATHER_SECONDS = 0.02
STOP_SECONDS = 2.0


class Writer:
    """A bounded queue and the thread that empties it; what does not fit is dropped, counted and reported.

    `make_render` is called on that thread, so that whatever it imports delays nobody. Entries are gathered for
    a moment and written together.
    """

    def __init__(self, stream: TextIO, make_render: Callable[[], Render], *, limit: int) -> None:
        self._write = _writing_to(stream)
        self._make_render = make_render
        self._limit = limit
        self._waiting: deque[Entry] = deque()
        self._something = threading.Event()
        self._stopping = threading.Event()
        self._counting = threading.Lock()
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="logs-writer", daemon=True)
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Queue an entry, or drop it where the queue is full; never waits."""
        if len(self._waiting) >= self._limit:
            self._drop(1)
        else:
            self._waiting.append(entry)
        if not self._something.is_set():
            self._something.set()

    def close(self) -> None:
        """Write what is queued and end; a stream that nobody reads is given up after `STOP_SECONDS`."""
        self._stopping.set()
        self._something.set()
        self._thread.join(STOP_SECONDS)

    @property
    def dropped(self) -> int:
        """How many entries have been dropped and not yet reported."""
        return self._dropped

    def _run(self) -> None:
        render = self._make_render()
        while not self._stopping.is_set():
            self._something.wait()
            self._stopping.wait(GATHER_SECONDS)
            # Cleared before the queue is emptied: what comes after that sets it again.
            self._something.clear()
            self._flush(render)
        self._flush(render)

    def _flush(self, render: Render) -> None:
        entries = [self._waiting.popleft() for _ in range(len(self._waiting))]
        dropped = self._take_dropped()
        if dropped:
            entries.append(_report(dropped))
        if not entries:
            return
        text = "".join(f"{_rendered(render, entry)}\n" for entry in entries)
        try:
            self._write(text)
        except (OSError, ValueError):
            # The stream is closed or full. There is nowhere to say so until it takes text again.
            self._drop(dropped + len(entries) - bool(dropped))

    def _drop(self, count: int) -> None:
        with self._counting:
            self._dropped += count

    def _take_dropped(self) -> int:
        with self._counting:
            dropped, self._dropped = self._dropped, 0
        return dropped


def _writing_to(stream: TextIO) -> Callable[[str], None]:
    """Return what writes a text to a stream's file, around the stream where it can.

    An interpreter that ends flushes stderr, and would wait for ever for a thread that is stuck in writing to it.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):

        def through(text: str) -> None:
            stream.write(text)
            stream.flush()

        return through

    def around(text: str) -> None:
        left = memoryview(text.encode("utf-8", "backslashreplace"))
        while left:
            left = left[os.write(descriptor, left) :]

    return around


def _rendered(render: Render, entry: Entry) -> str:
    try:
        return render(entry)
    except Exception as error:
        # The line's content broke its rendering; its error, which may quote that content, is only named.
        return render(_record(logging.ERROR, f"a log line could not be rendered: {type(error).__name__}"))


def _report(dropped: int) -> logging.LogRecord:
    record = _record(
        logging.WARNING, "log lines were dropped, because they came faster than they could be written"
    )
    record.lines = dropped
    return record


def _record(level: int, message: str) -> logging.LogRecord:
    return logging.LogRecord("kernel.logs", level, "", 0, message, None, None)

"""The parent of several serving processes: starts them on one listening socket, replaces them, stops them."""

from __future__ import annotations

import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from socket import socket, socketpair
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from kernel.serving.lifeline import READY, RETIRE, Orders

if TYPE_CHECKING:
    from kernel.serving.reload import Watch

POLL_SECONDS = 0.5
# A worker that dies is replaced at once; one that keeps dying, after ever longer pauses.
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0
# A worker that lived this long was well; its death is a new story.
WELL_SECONDS = 30.0
# So many workers in a row that die before they are ready are the end.
FAILED_BOOTS = 3


class Child:
    """One worker process, and the line to it, whose end tells it to stop even where this process was killed."""

    def __init__(self, listener: int, orders: Orders, environ: Mapping[str, str]) -> None:
        self.line, theirs = socketpair()
        orders = replace(orders, listener=listener, lifeline=theirs.fileno())
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-P", "-m", "kernel.serving.worker", msgspec.json.encode(orders).decode()],
                env=environ,
                pass_fds=(theirs.fileno(), listener),
                process_group=0,  # so that Ctrl-C reaches this process only
            )
        self.born = monotonic()
        self.ready = False

    def retire(self) -> None:
        """Let it take nothing new, and finish what is in flight."""
        with suppress(OSError):  # it may have died already
            self.line.send(RETIRE)


class Slot:
    """A place for one worker: who serves there, who boots to succeed it, when to start one anew."""

    def __init__(self) -> None:
        self.current: Child | None = None
        self.successor: Child | None = None
        self.deaths = 0
        self.failed_boots = 0
        self.start_at: float | None = None


class Workers:
    """Keeps `count` workers running on one listening socket until a signal to stop.

    With `watch`, they are replaced when files change: a successor boots while its predecessor serves.
    """

    def __init__(self, listener: socket, count: int, orders: Orders, environ: Mapping[str, str]) -> None:
        self._listener = listener
        self._orders = orders
        self._environ = environ
        self._slots = [Slot() for _ in range(count)]
        self._retired: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._served = False
        self._code: int | None = None

    def run(self, watch: Watch | None = None) -> int:
        """Run until told to stop, or until workers cannot be kept running; return the exit code."""
        self._catch_signals()
        self._slots[0].current = self._spawn(self._orders)
        while not self._signals and self._code is None:
            self._wait(POLL_SECONDS if watch is not None else None)
            self._reap()
            self._start_due()
            if watch is not None and self._served:
                self._follow(watch)
        return self._stop()

    def _spawn(self, orders: Orders) -> Child:
        child = Child(self._listener.fileno(), orders, self._environ)
        self._selector.register(child.line, selectors.EVENT_READ, child)
        return child

    def _spawn_quietly(self) -> Child:
        return self._spawn(replace(self._orders, on_ready=None))

    def _wait(self, seconds: float | None) -> None:
        """Sleep until something happens: a signal, a word from a worker, a worker's end, or the time to start one."""
        due = [slot.start_at for slot in self._slots if slot.start_at is not None]
        if due:
            seconds = max(0.0, min(due) - monotonic())
        for key, _ in self._selector.select(seconds):
            line: Any = key.fileobj
            said = line.recv(64)
            if key.data is None:
                continue
            if said == READY:
                self._ready(key.data)
            else:
                self._selector.unregister(line)

    def _ready(self, child: Child) -> None:
        child.ready = True
        if not self._served:
            self._served = True
            for slot in self._slots[1:]:
                slot.current = self._spawn_quietly()
        for slot in self._slots:
            if slot.successor is child:
                self._succeed(slot)

    def _succeed(self, slot: Slot) -> None:
        if slot.current is not None:
            slot.current.retire()
            self._retired.append(slot.current)
        slot.current, slot.successor, slot.start_at = slot.successor, None, None
        if slot is self._slots[0]:
            _say("reloaded")
            for other in self._slots[1:]:
                other.successor = self._spawn_quietly()

    def _reap(self) -> None:
        self._retired = [child for child in self._retired if child.process.poll() is None]
        for slot in self._slots:
            if slot.successor is not None and slot.successor.process.poll() is not None:
                slot.successor = None
                _say("the new version does not start; the one before goes on")
            if slot.current is not None and slot.current.process.poll() is not None:
                self._died(slot, slot.current)

    def _died(self, slot: Slot, child: Child) -> None:
        slot.current = None
        code = child.process.returncode
        if child.ready and monotonic() - child.born > WELL_SECONDS:
            slot.deaths = 0
        slot.deaths += 1
        slot.failed_boots = 0 if child.ready else slot.failed_boots + 1
        if not self._served or slot.failed_boots == FAILED_BOOTS:
            self._code = code if code > 0 else 1
            return
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 4 ** (slot.deaths - 1))
        _say(f"worker {child.process.pid} ended with {_named(code)}; another starts in {pause:g} s")
        slot.start_at = monotonic() + pause

    def _start_due(self) -> None:
        for slot in self._slots:
            if slot.start_at is not None and slot.start_at <= monotonic():
                slot.start_at = None
                slot.current = self._spawn_quietly()

    def _follow(self, watch: Watch) -> None:
        if any(slot.successor is not None for slot in self._slots):
            return
        changed = watch.changed()
        if changed is not None:
            _say(f"{changed} changed; reloading")
            self._slots[0].successor = self._spawn_quietly()

    def _stop(self) -> int:
        children = [*self._retired]
        for slot in self._slots:
            children += [child for child in (slot.current, slot.successor) if child is not None]
        for child in children:
            child.line.close()
        self._listener.close()
        begun = len(self._signals)
        while any(child.process.poll() is None for child in children):
            self._wait(None)
            if len(self._signals) > max(begun, 1):
                for child in children:
                    child.process.kill()
                return 128 + self._signals[-1]
        if self._code is not None:
            return self._code
        fine = (0, -signal.SIGTERM)  # the latter where it came too early in a worker's boot to be caught
        return 0 if all(child.process.returncode in fine for child in children) else 1

    def _catch_signals(self) -> None:
        heard, woken = socketpair()
        heard.setblocking(False)
        woken.setblocking(False)
        self._wakers = (heard, woken)
        self._selector.register(heard, selectors.EVENT_READ)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _wake)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)


def _wake(number: int, frame: FrameType | None) -> None:
    """Let the wake-up descriptor become readable, which an ignored signal would not."""


def _say(text: str) -> None:
    sys.stderr.write(f"kernel serve: {text}\n")
    sys.stderr.flush()


def _named(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

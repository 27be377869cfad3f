"""One serving process: boots a kernel, runs Granian on this process's event loop, stops in good order."""

from __future__ import annotations

import asyncio
import atexit
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from socket import socket
from types import FrameType
from typing import Any, NoReturn

from granian._granian import SocketHolder
from granian.server.embed import Server

from kernel.config import Config
from kernel.errors import KernelError
from kernel.kernel import Kernel
from kernel.serving.lifeline import READY, RETIRE
from kernel.serving.rsgi.gateway import Gateway
from kernel.serving.supervisor import BACKLOG, complain

# Connections at a time, idle WebSockets and streams included; Granian leaves further ones in the backlog.
CONNECTIONS = 16_384
# Granian closes idle connections when it stops; this long even where the grace period has been used up.
CLOSING_SECONDS = 0.2

_log = logging.getLogger("kernel.serving")


class _Granian(Server):
    """Granian's embedded server on a listening socket of ours; it uses asyncio's running loop."""

    def __init__(self, listener: socket) -> None:
        super().__init__(target="", log_enabled=False, backlog=BACKLOG, backpressure=CONNECTIONS)
        self._listener = listener

    def _init_shared_socket(self) -> None:
        holder: Any = SocketHolder  # its stub lacks the arguments
        self._shd = holder(os.dup(self._listener.fileno()), False, BACKLOG)


def run(
    config: Config,
    listener: socket,
    *,
    on_ready: Callable[[Kernel], None] | None = None,
    lifeline: socket | None = None,
) -> NoReturn:
    """Boot a kernel, serve on `listener` until told to stop, and end this process with an exit code.

    SIGTERM and SIGINT stop gracefully, a second one at once. `on_ready` is called when requests are answered.
    `lifeline` connects to a supervisor. Raises `KernelError` where the boot fails.
    """
    granian: Any = _Granian(listener)  # configures logging, so it comes before the plugins do
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop_boot)
    kernel = Kernel(config)
    try:
        kernel.start()
    except _StopBoot:
        _end(0)
    finally:
        gc.enable()
    kernel.warm_up(_settle)
    runner = asyncio.Runner()
    try:
        clean = runner.run(_Process(kernel, granian, listener, lifeline).serve(on_ready))
    finally:
        code = _stop(kernel)
    if clean:
        runner.close()
    _end(code)


def _settle() -> None:
    """Look for garbage in what the boot made, and never again: 13 ms that would recur with each full collection."""
    gc.collect()
    gc.freeze()


def _stop(kernel: Kernel) -> int:
    try:
        kernel.stop()
    except KernelError as error:
        complain(error)
        return 1
    return 0


class _Process:
    """Serves a started kernel until a signal or the supervisor says to stop."""

    def __init__(self, kernel: Kernel, granian: Any, listener: socket, lifeline: socket | None) -> None:
        self._kernel = kernel
        self._granian = granian
        self._listener = listener
        self._lifeline = lifeline
        self._told = asyncio.Event()
        self._signalled = False
        self._retiring = False

    async def serve(self, on_ready: Callable[[Kernel], None] | None) -> bool:
        """Serve until told to stop; return whether everything in flight came to its end."""
        gateway = Gateway(self._kernel, threads=self._kernel.settings.threads)
        self._granian.target = gateway
        self._listen()
        serving = asyncio.ensure_future(self._granian.serve())
        await asyncio.sleep(0)  # it has to begin before what follows is true
        if on_ready is not None:
            on_ready(self._kernel)
        if self._lifeline is not None:
            with suppress(OSError):  # the supervisor has gone, which the reader notices
                self._lifeline.send(READY)
        told = asyncio.ensure_future(self._told.wait())
        await asyncio.wait((told, serving), return_when=asyncio.FIRST_COMPLETED)
        self._listener.close()
        end = asyncio.get_running_loop().time() + self._kernel.settings.grace_seconds
        if self._retiring:
            return await self._retire(gateway, serving, end)
        return await self._stop(gateway, serving, end)

    async def _stop(self, gateway: Gateway, serving: asyncio.Future[None], end: float) -> bool:
        """Turn away what still comes, let what is in flight finish until `end`, then close the connections."""
        loop = asyncio.get_running_loop()
        gateway.turn_away()
        gateway.end_streams(end - loop.time())
        clean = await gateway.idle(end - loop.time())
        self._granian.stop()
        return await self._finished(gateway, serving, end) and clean

    async def _retire(self, gateway: Gateway, serving: asyncio.Future[None], end: float) -> bool:
        """Take no more connections, which a successor does, and answer what comes on the present ones until `end`."""
        self._granian.stop()
        gateway.end_streams(end - asyncio.get_running_loop().time())
        return await self._finished(gateway, serving, end)

    async def _finished(self, gateway: Gateway, serving: asyncio.Future[None], end: float) -> bool:
        left = end - asyncio.get_running_loop().time()
        done, _ = await asyncio.wait((serving,), timeout=max(CLOSING_SECONDS, left))
        gateway.close()
        if not done:
            _log.warning("not everything in flight came to its end in time")
            await _cancel_others()
        return bool(done)

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        if self._lifeline is not None:
            self._lifeline.setblocking(False)
            loop.add_reader(self._lifeline, self._on_lifeline)

    def _on_signal(self, number: int) -> None:
        if self._signalled:
            _exit(128 + number)
        self._signalled = True
        self._told.set()

    def _on_lifeline(self) -> None:
        assert self._lifeline is not None  # noqa: S101 - it is what became readable
        message = self._lifeline.recv(1)
        self._retiring = message == RETIRE
        if not message:
            asyncio.get_running_loop().remove_reader(self._lifeline)
        self._told.set()


async def _cancel_others() -> None:
    """Let what is left on the loop clean up, for a moment."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=CLOSING_SECONDS)


class _StopBoot(BaseException):
    """A signal to stop, come while the kernel was booting."""


def _stop_boot(number: int, frame: FrameType | None) -> NoReturn:
    raise _StopBoot


def _end(code: int) -> NoReturn:
    """End the process without taking the interpreter apart.

    Granian's threads would panic over the objects they still hold (seen with open WebSockets), and threads that
    outlive the grace period would be waited for.
    """
    atexit._run_exitfuncs()
    _exit(code)


def _exit(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

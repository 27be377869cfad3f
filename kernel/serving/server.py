"""One serving process: boots a kernel, runs Granian on this process's event loop, stops in good order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from socket import socket
from types import FrameType
from typing import Any

from granian._granian import SocketHolder
from granian.server.embed import Server

from kernel.config import Config
from kernel.errors import KernelError, describe
from kernel.kernel import Kernel

# Connections at a time, idle WebSockets and streams included; Granian leaves further ones in the backlog.
CONNECTIONS = 16_384

_log = logging.getLogger("kernel.serving")

Ready = Callable[[Kernel], None]


class _Embedded(Server):
    """Granian on our loop and our listening socket."""

    def __init__(self, listener: socket) -> None:
        super().__init__(target=None, log_enabled=False, backpressure=CONNECTIONS)
        self._listener = listener

    def _init_shared_socket(self) -> None:
        self._shd = SocketHolder(os.dup(self._listener.fileno()), False, 1024)


def run(config: Config, listener: socket, on_ready: Ready | None = None) -> int:
    """Serve until told to stop and return the exit code; `listener` is a listening socket.

    SIGTERM and SIGINT stop gracefully, a second one at once; SIGHUP makes room for a successor: it stops taking
    connections, and finishes what is in flight. `on_ready` is called when connections are taken. Raises
    `KernelError` where the boot fails.
    """
    server = _Embedded(listener)  # configures logging, so it comes before the plugins do
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop_boot)
    kernel = Kernel(config)
    try:
        kernel.start()
    except _StopBoot:
        return 0
    clean = asyncio.run(_Process(kernel, server, listener).serve(on_ready))
    code = 0
    try:
        kernel.stop()
    except KernelError as error:
        sys.stderr.write(f"error: {describe(error)}\n")
        code = 1
    if not clean or threading.active_count() > 1:
        # Threads that still run a handler would keep the interpreter from ending.
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


class _Process:
    def __init__(self, kernel: Kernel, server: _Embedded, listener: socket) -> None:
        self._kernel = kernel
        self._server = server
        self._listener = listener
        self._told = asyncio.Event()
        self._retired = False

    async def serve(self, on_ready: Ready | None) -> bool:
        """Serve until told to stop; return whether everything in flight came to its end."""
        from kernel.serving.gateway import Gateway

        gateway = Gateway(self._kernel, threads=self._kernel.settings.threads)
        self._server.target = gateway
        self._handle_signals()
        serving = asyncio.ensure_future(self._server.serve())
        await asyncio.sleep(0)
        if on_ready is not None:
            on_ready(self._kernel)
        told = asyncio.ensure_future(self._told.wait())
        await asyncio.wait((told, serving), return_when=asyncio.FIRST_COMPLETED)
        grace = self._kernel.settings.grace_seconds
        loop = asyncio.get_running_loop()
        end = loop.time() + grace
        if self._retired:
            self._server.stop()
        clean = await gateway.drain(grace)
        self._listener.close()
        self._server.stop()
        done, _ = await asyncio.wait((serving,), timeout=max(0.1, end - loop.time()))
        if not done:
            _log.warning("connections did not finish in time")
        return clean and bool(done)

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._retire)

    def _stop(self, number: int) -> None:
        if self._told.is_set():
            os._exit(128 + number)
        self._told.set()

    def _retire(self) -> None:
        self._retired = True
        self._told.set()


class _StopBoot(BaseException):
    """A signal to stop, come while the kernel was booting."""


def _stop_boot(number: int, frame: FrameType | None) -> Any:
    raise _StopBoot

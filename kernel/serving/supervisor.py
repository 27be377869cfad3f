"""`kernel serve`: binds the port, then serves in this process, or in several that share the port."""

from __future__ import annotations

import errno
import gc
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from kernel.config import Config, KernelSettings
from kernel.errors import KernelError

if TYPE_CHECKING:
    from kernel.kernel import Kernel

BACKLOG = 1024

OnReady = Callable[["Kernel", str], None]


def serve(
    project: Path,
    *,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
    threads: int | None = None,
    reload: bool = False,
    on_ready: OnReady | None = None,
) -> int:
    """Serve the project until told to stop; return the exit code, or end this process with it where it has served.

    What is not None overrides the ``[kernel]`` section. A boot that fails is one line on stderr and the code 1.
    `on_ready` is a function at a module's top level; it gets the started kernel and the real address, and runs
    once, in the first serving process, when connections are taken.
    """
    given = {"HOST": host, "PORT": port, "WORKERS": workers, "THREADS": threads}
    overrides = {f"KERNEL_KERNEL__{name}": str(value) for name, value in given.items() if value is not None}
    try:
        config = Config.load(project, {**os.environ, **overrides})
        settings = config.settings("kernel", KernelSettings)
        listener = bind(settings.host, settings.port)
        url = address(listener)
        if settings.workers == 1 and not reload:
            _serve_here(config, listener, url, on_ready)
        from kernel.serving.lifeline import Orders
        from kernel.serving.reload import watch_project
        from kernel.serving.workers import Workers

        announce = None if on_ready is None else f"{on_ready.__module__}:{on_ready.__qualname__}"
        orders = Orders(str(project.resolve()), url, announce)
        supervisor = Workers(listener, settings.workers, orders, {**os.environ, **overrides})
        return supervisor.run(watch_project(project, project / settings.data) if reload else None)
    except KernelError as error:
        complain(error)
        return 1


def complain(error: KernelError) -> None:
    """Write an error as one line on stderr."""
    sys.stderr.write(f"error: {' '.join(str(error).split())}\n")


def _serve_here(config: Config, listener: socket.socket, url: str, on_ready: OnReady | None) -> NoReturn:
    # Nearly all that a boot makes is there to stay; looking for garbage in it would take a tenth of the time. `run`
    # begins to look when it is done.
    gc.disable()
    from kernel.serving.server import run

    run(config, listener, on_ready=None if on_ready is None else lambda kernel: on_ready(kernel, url))


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; raises `KernelError` where that cannot be.

    It does not share the port, so a server that is there already is noticed. Whoever connects while the kernel
    boots waits for it.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise KernelError(
            f"cannot listen on {host!r}: {error.strerror}; name an address of this machine"
        ) from None
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(place)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise KernelError(_refusal(host, port, error)) from None
    listener.setblocking(False)
    return listener


def address(listener: socket.socket) -> str:
    """Return the URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use; "
            f"stop what listens there, or choose another: kernel serve --port {port % 65535 + 1}"
        )
    return f"cannot listen on {host}:{port}: {error.strerror}"

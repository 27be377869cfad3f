"""Every hook the kernel calls, in the order of a life.

Where several plugins implement one, they are called in dependency order (a plugin after all it requires).
``tryfirst`` and ``trylast`` bend that for the request hooks and for plugins' own hooks, not for the hooks of the
lifecycle. Hooks are synchronous. A hook raises to stop what is going on; nothing is swallowed, except where a
hook's own text says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernel.http import Request, Response
from kernel.identity import Identity
from kernel.plugin import PROJECT, hookspec

if TYPE_CHECKING:
    import click

    from kernel.routing import Route, WebSocketRoute

REQUEST_HOOKS = ("kernel_identify", "kernel_before_request", "kernel_after_request", "kernel_request_done")


class KernelHooks:
    """The kernel's hook specifications."""

    @hookspec
    def kernel_services(self) -> Mapping[type, Any]:  # type: ignore[empty-body]
        """Return the object behind each contract this plugin provides.

        Called while plugins register, before anything is opened: construct cheaply, connect on first use or in
        ``kernel_start``. The services of plugins this one requires are already there.
        """

    @hookspec
    def kernel_prepare(self) -> None:
        """Do what a deployment needs done once: folders, keys, migrations.

        Called in every process before ``kernel_start``, under a lock that all processes of the deployment
        share; it must find out cheaply when there is nothing left to do.
        """

    @hookspec
    def kernel_start(self) -> None:
        """Open connections, fill caches, start background threads, subscribe to events: once per process.

        ``kernel.role`` tells what the process is for. An exception stops the boot, and what had started is
        stopped in reverse order.
        """

    @hookspec
    def kernel_routes(self) -> Iterable[Route | WebSocketRoute]:  # type: ignore[empty-body]
        """Return this plugin's routes. Called once, after every plugin has started."""

    @hookspec
    def kernel_commands(self) -> Iterable[click.Command]:  # type: ignore[empty-body]
        """Return commands for the ``kernel`` command line.

        Called on a registered plugin that has not started; a command that needs the running kernel asks for it.
        """

    @hookspec
    def kernel_backup(self) -> Iterable[Path]:  # type: ignore[empty-body]
        """Return files, and folders with all that is in them, that belong into a backup beside the database.

        They are in the data folder, and are put back there. Called on a registered plugin that has not started,
        possibly while another process serves the project: what is written then must be whole at any moment.
        """

    @hookspec
    def kernel_starter_files(self) -> Mapping[str, str]:  # type: ignore[empty-body]
        """Return files that a new project begins with: path in the project to text.

        Called on a registered plugin that has not started, by ``kernel init`` and by ``kernel serve`` in a folder
        that is no project yet. A file is not written where the project has the topmost folder of its path already.
        """

    @hookspec
    def kernel_ready(self) -> None:
        """Called once routes, subscriptions and commands are closed, right before the first request.

        What takes long and can wait is given to ``kernel.warm_up`` here.
        """

    @hookspec
    def kernel_greeting(self, url: str) -> Mapping[str, Iterable[str]]:  # type: ignore[empty-body]
        """Return what ``kernel serve`` says of this plugin when it is ready at `url`: headings, and the lines of each.

        ``Try`` is the heading for commands to copy, ``Then`` for what comes next; a tab begins a line's second
        column. It is shown on terminals, and to whoever reads the output of a server on a loopback address only,
        so that it may hold keys.
        """

    @hookspec(firstresult=True)
    def kernel_identify(self, request: Request) -> Identity | None:
        """Tell who the request speaks for: the first answer that is not None counts.

        A missing credential is None; a bad one raises ``HTTPError(401)`` and never falls through to anonymous.
        """

    @hookspec(firstresult=True)
    def kernel_before_request(self, request: Request) -> Response | None:
        """Look at an identified request before its handler; the first Response returned is the answer."""

    @hookspec
    def kernel_after_request(self, request: Request, response: Response) -> None:
        """Look at a response, an error's included, and add headers to it."""

    @hookspec
    def kernel_request_done(self, request: Request, response: Response, seconds: float) -> None:
        """Take note of a finished request and how long it took, its streamed body not counted.

        An exception here is logged and does not change the answer.
        """

    @hookspec
    def kernel_health(self) -> Mapping[str, str | None]:  # type: ignore[empty-body]
        """Return this plugin's checks for ``/readyz``: a name, and None when well or what is wrong.

        The text is shown to whoever asks, so it must not hold secrets. An exception counts as a failed check.
        """

    @hookspec
    def kernel_stop(self) -> None:
        """Close what was opened.

        Called in reverse order, also after a failed start, and on a plugin that was only registered; every plugin
        is asked, even if another raises.
        """


def specifications(cls: type) -> dict[str, Any]:
    """Return the hooks that a class of specifications declares: name to function, in the order of its text."""
    return {name: function for name, function in vars(cls).items() if hasattr(function, f"{PROJECT}_spec")}

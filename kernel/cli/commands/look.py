"""``kernel routes`` and ``kernel hooks``: what is served, and who takes part in it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

import click

from kernel.cli import output
from kernel.cli.base import Command, Project, json_option, pass_project
from kernel.errors import PhaseError
from kernel.hookspecs import KernelHooks, specifications
from kernel.kernel import Kernel
from kernel.routing import Route, WebSocketRoute


@click.command(cls=Command, examples=("kernel routes", "kernel routes --json | jq '.[].path'"))
@click.option("--start", is_flag=True, help="Start the kernel for it, which applies migrations.")
@json_option
@pass_project
def routes(project: Project, start: bool, as_json: bool) -> None:
    """List the routes that are served: method, path, the plugin that serves it, and how its handler runs.

    Inline handlers run on the event loop and answer in microseconds; async ones run there too and may wait;
    all others run in a thread. Nothing is started for this, unless you ask for it by --start; a plugin that knows
    its routes only once it has started is named.
    """
    if start:
        kernel = Kernel(project.config(), role="command")
        with kernel:
            rows = _routes(kernel)
    else:
        kernel = project.kernel()
        kernel.collect_routes(untold=_tell)
        rows = _routes(kernel)
    output.table(rows, _COLUMNS, as_json=as_json, empty="Nothing is served.", styles=_METHODS)


def _tell(error: PhaseError) -> None:
    output.say(
        f"The routes of {error.plugin!r} are known only once it has started; see them with: kernel routes --start",
        sys.stderr,
    )


_COLUMNS = {"method": "Method", "path": "Path", "plugin": "Plugin", "runs": "Runs", "summary": "What it does"}
_METHODS = {
    "GET": "green", "POST": "yellow", "PUT": "yellow", "PATCH": "yellow", "DELETE": "red", "WS": "cyan",
}  # fmt: skip


def _routes(kernel: Kernel) -> list[dict[str, Any]]:
    rows = [_row(route, route.method, _runs(route)) for route in kernel.router.routes]
    rows += [_row(socket, "WS", "async") for socket in kernel.router.sockets]
    return sorted(rows, key=lambda row: (row["path"], row["method"]))


def _row(route: Route | WebSocketRoute, method: str, runs: str) -> dict[str, Any]:
    return {
        "method": method, "path": route.path, "plugin": route.owner, "runs": runs, "summary": route.summary,
        "deprecated": isinstance(route, Route) and route.deprecated is not None,
    }  # fmt: skip


def _runs(route: Route) -> str:
    return "inline" if route.inline else "async" if route.is_async else "thread"


@click.command(cls=Command, examples=("kernel hooks", "kernel hooks --all"))
@click.option("--all", "everything", is_flag=True, help="List also the hooks that nobody implements.")
@json_option
@pass_project
def hooks(project: Project, everything: bool, as_json: bool) -> None:
    """List the hooks and the plugins that implement them, in the order in which they are called.

    The kernel's hooks come first, in the order of its life, then those that plugins declare. Plugins are stopped
    in the reverse order.
    """
    rows = [row for row in _hooks(project.kernel()) if everything or row["implemented_by"]]
    columns = {"hook": "Hook", "declared_by": "Declared by", "implemented_by": "Implemented by, in order"}
    output.table(rows, columns, as_json=as_json, empty="No hook is implemented.")


def _hooks(kernel: Kernel) -> Iterator[dict[str, Any]]:
    declared: list[tuple[str, type]] = [("kernel", KernelHooks)]
    declared += [(record.name, specs) for record in kernel.records for specs in record.cls.hookspecs]
    for owner, cls in declared:
        for name, function in specifications(cls).items():
            # pluggy calls its list from the end.
            implementations = reversed(getattr(kernel.hooks, name).get_hookimpls())
            yield {
                "hook": name,
                "declared_by": owner,
                "implemented_by": [_implementation(implementation) for implementation in implementations],
                "summary": (inspect.getdoc(function) or "").partition("\n")[0],
            }


def _implementation(implementation: Any) -> str:
    marks = [
        mark for mark in ("tryfirst", "trylast", "wrapper", "hookwrapper") if getattr(implementation, mark)
    ]
    return f"{implementation.plugin_name} ({', '.join(marks)})" if marks else str(implementation.plugin_name)

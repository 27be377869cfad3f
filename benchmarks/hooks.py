"""What plugins that a request does not use cost it: 5 of them, and 50.

Each idle plugin has a route, an event with a listener, a hook of its own, and implementations of the hooks around
start and stop. The bundled plugins are disabled, so that nothing covers a difference up.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.load import (
    REPOSITORY,
    ROUNDS,
    Row,
    Running,
    in_turns,
    middle,
    print_rows,
    rate,
    ratio,
    running,
    say,
    wrk,
)
from kernel.discovery import installed

IDLE = '''
class Idle{number}Happened(Event, frozen=True):
    """Never happens."""

    name = "idle{number}.thing.happened"


class Idle{number}Hooks:
    """Asked for nothing."""

    @hookspec
    def idle{number}_ask(self) -> None:
        """Never asked."""


class Idle{number}(Plugin):
    """Does nothing for a request."""

    name = "idle{number}"
    hookspecs = (Idle{number}Hooks,)
    events = (Idle{number}Happened,)

    @hookimpl
    def kernel_start(self) -> None:
        self.kernel.events.subscribe("idle{number}.*", self.listen)

    @hookimpl
    def kernel_routes(self) -> Iterable[Route]:
        yield Route("GET", "/idle{number}/{{name}}", self.answer)

    @hookimpl
    def kernel_stop(self) -> None:
        pass

    def listen(self, event: Event) -> None:
        pass

    def answer(self, request: Request, name: str) -> str:
        return name
'''
HEAD = "from collections.abc import Iterable\nfrom kernel import Event, Plugin, Request, Route, hookimpl, hookspec\n"
NEARLY_ONE = 0.95


def measure() -> list[Row]:
    """Return the row that sets 50 plugins beside 5."""
    say("an inline route beside idle plugins, requests/s:")
    with ExitStack() as stack:
        servers = {name: stack.enter_context(_serving(count)) for name, count in (("few", 5), ("many", 50))}
        for server in servers.values():
            wrk(f"{server.url}/hello-inline/Ada", seconds=1)
        measures = {name: partial(rate, f"{server.url}/hello-inline/Ada") for name, server in servers.items()}
        taken = in_turns(measures, 2 * ROUNDS)
    same = ratio(taken, "many", "few")
    many, few = (f"{middle(taken, name):,.0f}/s" for name in ("many", "few"))
    return [
        Row("50 idle plugins and 5", many, few, same, f"about 1 (at least {NEARLY_ONE})", same >= NEARLY_ONE)
    ]


@contextmanager
def _serving(count: int) -> Iterator[Running]:
    with TemporaryDirectory(prefix="hooks-") as folder:
        project = Path(folder)
        project.joinpath("idle.py").write_text(HEAD + "".join(IDLE.format(number=n) for n in range(count)))
        enabled = ["benchmarks.hello:HelloPlugin", *(f"idle:Idle{number}" for number in range(count))]
        disabled = [name for name, offer in installed().items() if offer.is_bundled]
        project.joinpath("kernel.toml").write_text(f"[plugins]\nenable = {enabled}\ndisable = {disabled}\n")
        command = (sys.executable, "-m", "kernel", "serve", "--port", "{port}")
        environment = {"PYTHONPATH": str(REPOSITORY)}
        with running(command, project, "/hello/Ada", environment=environment) as server:
            yield server


if __name__ == "__main__":
    print_rows(measure())

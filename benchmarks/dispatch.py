"""What the kernel costs a small JSON request, all bundled plugins enabled, beside Flask, Falcon and nothing at all.

As WSGI, every application runs under the same Granian: one worker, one thread. As RSGI, `kernel serve` stands
beside a bare callable on the same embedded server. The kernel logs each request, as it does by default, into a
file; the peers log none, which is their default.
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

GRANIAN = (
    *(sys.executable, "-m", "granian", "--interface", "wsgi", "--workers", "1", "--blocking-threads", "1"),
    *("--host", "127.0.0.1", "--port", "{port}", "--no-ws", "--log-level", "warning"),
)
WSGI = {
    "kernel": ("kernel.serving.wsgi:application",),
    "flask": ("--factory", "benchmarks.peers:make_flask"),
    "falcon": ("--factory", "benchmarks.peers:make_falcon"),
    "bare": ("benchmarks.peers:bare_wsgi",),
}
PROJECT = '[plugins]\nenable = ["benchmarks.hello:HelloPlugin"]\n'
OVER_FLASK = 2.5
OF_BARE = 0.4


def measure() -> list[Row]:
    """Return the rows for both interfaces."""
    return [*wsgi(), *rsgi()]


def wsgi() -> list[Row]:
    """Measure under WSGI."""
    say("dispatch as WSGI under Granian, one thread, requests/s:")
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(_serving(*GRANIAN, *target, ready="/hello/Ada"))
            for name, target in WSGI.items()
        }
        taken = _loads({name: f"{server.url}/hello/Ada" for name, server in servers.items()})
    over_flask, of_bare = ratio(taken, "kernel", "flask"), ratio(taken, "kernel", "bare")
    ours = _rate(taken, "kernel")
    return [
        Row(
            "WSGI: kernel and Flask", ours, _rate(taken, "flask"), over_flask, "2.5", over_flask >= OVER_FLASK
        ),
        Row("WSGI: kernel and Falcon", ours, _rate(taken, "falcon"), ratio(taken, "kernel", "falcon")),
        Row(
            "WSGI: kernel and a bare callable", ours, _rate(taken, "bare"), of_bare, "0.4", of_bare >= OF_BARE
        ),
    ]


def rsgi() -> list[Row]:
    """Measure under RSGI, on one event loop."""
    say("dispatch as RSGI, one process, requests/s:")
    with ExitStack() as stack:
        kernel = stack.enter_context(
            _serving(sys.executable, "-m", "kernel", "serve", "--port", "{port}", ready="/hello/Ada")
        )
        bare = stack.enter_context(
            _serving(sys.executable, "-m", "benchmarks.bare_rsgi", "{port}", ready="/hello/Ada")
        )
        taken = _loads(
            {
                "inline": f"{kernel.url}/hello-inline/Ada",
                "async": f"{kernel.url}/hello-async/Ada",
                "thread": f"{kernel.url}/hello/Ada",
                "bare": f"{bare.url}/hello/Ada",
            }
        )
    rows = []
    for kind in ("inline", "async", "thread"):
        share = ratio(taken, kind, "bare")
        goal, met = ("0.4", share >= OF_BARE) if kind == "inline" else ("", None)
        what = f"RSGI: kernel, {kind}, and a bare callable"
        rows.append(Row(what, _rate(taken, kind), _rate(taken, "bare"), share, goal, met))
    return rows


def _loads(urls: dict[str, str]) -> list[dict[str, float]]:
    for url in urls.values():
        wrk(url, seconds=1)
    return in_turns({name: partial(rate, url) for name, url in urls.items()}, ROUNDS)


@contextmanager
def _serving(*command: str, ready: str) -> Iterator[Running]:
    """Run a server in a fresh project that enables the route."""
    with TemporaryDirectory(prefix="dispatch-") as folder:
        Path(folder, "kernel.toml").write_text(PROJECT)
        with running(command, Path(folder), ready, environment={"PYTHONPATH": str(REPOSITORY)}) as server:
            yield server


def _rate(taken: list[dict[str, float]], name: str) -> str:
    return f"{middle(taken, name):,.0f}/s"


if __name__ == "__main__":
    print_rows(measure())

"""What the measurements share: servers on loopback, wrk, and rows of the table of figures."""

from __future__ import annotations

import dataclasses
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic, sleep

REPOSITORY = Path(__file__).resolve().parent.parent
CONNECTIONS = 32
SECONDS = 3
ROUNDS = 5


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: `ours` and `theirs` as text, their `ratio`, and the goal with whether it is met."""

    what: str
    ours: str
    theirs: str
    ratio: float
    goal: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        mark = {True: " (met)", False: " (**missed**)", None: ""}[self.met]
        return f"| {self.what} | {self.ours} | {self.theirs} | {self.ratio:.2f} | {self.goal}{mark} |"


HEADING = "| what | here | beside it | ratio | goal |\n|---|---|---|---|---|"


@dataclasses.dataclass(frozen=True)
class Load:
    """What wrk saw: requests per second, and latencies in milliseconds."""

    rate: float
    p50: float
    p99: float


@dataclasses.dataclass(frozen=True)
class Running:
    """A server in `folder` that answers at `url`; it took `seconds` from its start to its first answer."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]
    seconds: float


def print_rows(rows: Sequence[Row]) -> None:
    """Write a table to stdout."""
    print(HEADING, *rows, sep="\n", flush=True)


def say(text: str) -> None:
    """Tell what is going on, on stderr."""
    print(text, file=sys.stderr, flush=True)


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str | Path],
    folder: Path,
    path: str,
    *,
    environment: Mapping[str, str] | None = None,
    patience: float = 30.0,
    port: int | None = None,
) -> Iterator[Running]:
    """Run a server in `folder` until `path` answers 200, then to the end of the with block.

    ``{port}`` in the command and the environment becomes a free port. Its output goes to the file ``output`` in
    the folder, where request logs cost what they cost on a disk.
    """
    port = port or free_port()
    filled = [str(word).replace("{port}", str(port)) for word in command]
    given = {name: value.replace("{port}", str(port)) for name, value in (environment or {}).items()}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KERNEL_")}
    with (folder / "output").open("wb") as output:
        begun = monotonic()
        process = subprocess.Popen(
            filled, cwd=folder, env={**inherited, **given}, stdout=output, stderr=output
        )
    try:
        _await_answer(port, path, process, begun + patience, folder / "output")
        yield Running(f"http://127.0.0.1:{port}", folder, process, monotonic() - begun)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_answer(port: int, path: str, process: subprocess.Popen[bytes], end: float, log: Path) -> None:
    while monotonic() < end and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=max(0.01, end - monotonic()))
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            sleep(0.001)
        finally:
            connection.close()
    raise SystemExit(f"{process.args!r} did not answer {path}:\n{log.read_text(errors='replace')[-4000:]}")


def wrk(
    url: str,
    *,
    seconds: int = SECONDS,
    connections: int = CONNECTIONS,
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
) -> Load:
    """Load `url` from one thread of wrk, with POST where there is a `body`; exits where an answer is not a success."""
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("needs wrk: apt install wrk")
    command = [program, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for name, value in (headers or {}).items():
        command += ["-H", f"{name}: {value}"]
    with TemporaryDirectory(prefix="wrk-") as folder:
        if body is not None:
            script = Path(folder) / "post.lua"
            script.write_text(f'wrk.method = "POST"\nwrk.body = [==[{body}]==]\n', encoding="utf-8")
            command += ["-s", str(script)]
        done = subprocess.run(
            [*command, url], capture_output=True, text=True, check=True, timeout=seconds + 30
        )
    told = done.stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise SystemExit(f"{url} was not answered well:\n{told}")
    found = re.search(r"Requests/sec:\s*([\d.]+)", told)
    if found is None:
        raise SystemExit(f"wrk told no rate:\n{told}")
    return Load(float(found[1]), _percentile(told, 50), _percentile(told, 99))


def rate(url: str) -> float:
    """Return the requests per second that `url` answers."""
    return wrk(url).rate


def _percentile(told: str, percent: int) -> float:
    found = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)\b", told)
    if found is None:
        raise SystemExit(f"wrk told no {percent}th percentile:\n{told}")
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


def in_turns(measures: Mapping[str, Callable[[], float]], rounds: int) -> list[dict[str, float]]:
    """Take each measure once per round, in turns, so that what slows the machine slows them all."""
    taken: list[dict[str, float]] = []
    for number in range(1, rounds + 1):
        taken.append({name: measure() for name, measure in measures.items()})
        figures = ", ".join(f"{name} {value:,.4g}" for name, value in taken[-1].items())
        say(f"  round {number} of {rounds}: {figures}")
    return taken


def middle(taken: Sequence[Mapping[str, float]], name: str) -> float:
    """Return the median of one measure over the rounds."""
    return median(values[name] for values in taken)


def ratio(taken: Sequence[Mapping[str, float]], name: str, other: str) -> float:
    """Return the median over the rounds of one measure by another."""
    return median(values[name] / values[other] for values in taken)

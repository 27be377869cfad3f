"""What clients that stall, and a slow query, cost everybody else: p99 with them over p99 without.

Run ``uv run python benchmarks/stalled.py``. A short list is asked for at a fixed rate (each latency counts
from the moment the request was due, so that a stall is felt by all that queue behind it): first in quiet,
then beside a program that keeps one core busy, then beside fifty downloads that nobody reads, fifty uploads
that stop half-way, and a query of about a second, asked again and again. The three take turns; the median
of the rounds' ratios is the result.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import monotonic, sleep

from joserfc import jwt
from joserfc.jwk import OctKey

ROWS = 60_000
MOST_PATTERNS = 180
SECRET = "only-for-this-benchmark-0123456789-0123456789"
MIGRATION = """
create table items (id bigint primary key, name text not null, body text not null);
"""


class Target:
    """A running server with a table of 60,000 rows of about 300 bytes."""

    def __init__(self, port: int) -> None:
        self.port = port
        claims = {"role": "service_role", "exp": 4_102_444_800}
        token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))
        self.headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}

    def connect(self, timeout: float = 30.0) -> http.client.HTTPConnection:
        """Open a connection of one's own."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None
    ) -> int:
        """Send a request, read the whole answer, and return its length; raises unless it is a success."""
        connection.request(method, path, body, self.headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status >= 300:
            raise SystemExit(f"{method} {path[:80]}: {response.status} {answer[:200]!r}")
        return len(answer)

    def raw(self, method: str, path: str, *lines: str) -> bytes:
        """The head of a request as bytes."""
        named = [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([f"{method} {path} HTTP/1.1", "host: localhost", *named, *lines, "", ""]).encode()


@contextmanager
def serving(folder: Path) -> Iterator[Target]:
    """Run `kernel serve` in `folder` and fill its table."""
    (folder / "migrations").mkdir()
    (folder / "migrations" / "20260101000000_items.sql").write_text(MIGRATION)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "KERNEL_KEYS__JWT_SECRET": SECRET,
        "KERNEL_KERNEL__MAX_BODY_BYTES": str(64 << 20),
        "KERNEL_KERNEL__BODY_TIMEOUT_SECONDS": "600",
        "KERNEL_KERNEL__GRACE_SECONDS": "1",
    }
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "kernel", "serve", "--port", str(port)]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        target = Target(port)
        wait_until_ready(target, process, folder / "log")
        fill(target)
        yield target
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_until_ready(target: Target, process: subprocess.Popen[bytes], log: Path) -> None:
    """Ask /readyz until it says yes."""
    end = monotonic() + 30
    while monotonic() < end:
        connection = target.connect(5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        break
    raise SystemExit(f"the server did not come up:\n{log.read_text()}")


def fill(target: Target) -> None:
    """Insert the rows."""
    connection = target.connect()
    for start in range(0, ROWS, 3_000):
        rows = [
            {
                "id": number,
                "name": f"item {number * 7919 % ROWS:05}",
                "body": f"{number:05} lorem ipsum " * 14,
            }
            for number in range(start, start + 3_000)
        ]
        target.ask(connection, "POST", "/rest/v1/items", json.dumps(rows).encode())
    connection.close()


def slow_query(target: Target) -> str:
    """Find a query that takes about a second here: every row is held against more and more patterns."""
    connection = target.connect(60)
    patterns = 10
    while True:
        terms = "&".join(f"body=not.like.*l*m*i*m*no*such*{number}" for number in range(patterns))
        path = f"/rest/v1/items?select=id&{terms}&limit=1&offset={ROWS - 1}"
        start = monotonic()
        target.ask(connection, "GET", path)
        taken = monotonic() - start
        if taken > 0.8 or patterns == MOST_PATTERNS:
            connection.close()
            print(f"slow query: {taken:.2f} s for {ROWS} rows against {patterns} patterns")
            return path
        patterns = min(MOST_PATTERNS, int(patterns / taken) + 1)


def latencies(target: Target, seconds: float, rate: float) -> list[float]:
    """Ask for a short list `rate` times a second; return the sorted latencies in seconds."""
    path = "/rest/v1/items?select=id,name&id=gte.1000&order=id&limit=30"
    connection = target.connect()
    target.ask(connection, "GET", path)
    taken = []
    start = monotonic()
    for number in range(int(seconds * rate)):
        due = start + number / rate
        sleep(max(0.0, due - monotonic()))
        target.ask(connection, "GET", path)
        taken.append(monotonic() - due)
    connection.close()
    return sorted(taken)


@contextmanager
def trouble(target: Target, clients: int, slow: str | None) -> Iterator[list[float]]:
    """Stall `clients` downloads and as many uploads, ask the slow query over and over; yields its times."""
    stop = threading.Event()
    times: list[float] = []

    def ask() -> None:
        connection = target.connect(60)
        while slow and not stop.is_set():
            start = monotonic()
            target.ask(connection, "GET", slow)
            times.append(monotonic() - start)
        connection.close()

    with ExitStack() as stack:
        for _ in range(clients):
            for request in (
                target.raw("GET", "/rest/v1/items?limit=10000"),  # about 3 MB
                target.raw("POST", "/rest/v1/items", "content-length: 10000000") + b"[" * 1000,
            ):
                client = stack.enter_context(socket.socket())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect(("127.0.0.1", target.port))
                client.sendall(request)
        thread = threading.Thread(target=ask)
        thread.start()
        # The downloads' bodies are made before the measurement: it is their stalling that is measured.
        stop.wait(3)
        try:
            yield times
        finally:
            stop.set()
            thread.join()


def percentile(values: list[float], part: float) -> float:
    """Return a percentile of sorted values, in milliseconds."""
    return 1000 * values[min(len(values) - 1, int(len(values) * part))]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--clients", type=int, default=50)
    options = parser.parse_args()
    ratios, floors = [], []
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as target:
        slow = slow_query(target)
        print("round | p50 and p99 in ms: quiet | busy core | troubled | slow queries, mean s | load")
        for number in range(options.rounds):
            quiet = latencies(target, options.seconds, options.rate)
            with busy_core():
                busy = latencies(target, options.seconds, options.rate)
            with trouble(target, options.clients, slow) as times:
                times.clear()
                troubled = latencies(target, options.seconds, options.rate)
            mean = sum(times) / len(times) if times else float("nan")
            ratios.append(percentile(troubled, 0.99) / percentile(quiet, 0.99))
            floors.append(percentile(busy, 0.99) / percentile(quiet, 0.99))
            print(
                f"{number + 1:5} | {shown(quiet)} | {shown(busy)} | {shown(troubled)}"
                f" | {len(times)}, {mean:.2f} | {os.getloadavg()[0]:.1f}"
            )
    print(f"p99 over the quiet p99, median of {options.rounds} rounds:")
    print(f"  {options.clients} stalled downloads, as many uploads, a slow query: {median(ratios):.2f}")
    print(f"  another program that keeps one core busy, for comparison: {median(floors):.2f}")


def shown(values: list[float]) -> str:
    """Write p50 and p99 down."""
    return f"{percentile(values, 0.5):.2f}, {percentile(values, 0.99):.2f}"


@contextmanager
def busy_core() -> Iterator[None]:
    """Keep a core busy from outside: the slow query takes one too, and that part is the machine's doing."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()

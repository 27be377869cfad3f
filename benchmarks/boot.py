"""How long `kernel serve` takes to its first answer, and the memory it then holds, beside PocketBase.

Both start in turns, in a new folder each time and in a folder they know, with their defaults. Memory is the
proportional set size of all processes of an idle server. Importing the kernel stands beside importing the two
libraries that it needs at once. Python compiles each module once, before any measurement, as it does in an
installation, whatever PYTHONDONTWRITEBYTECODE says here.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

from benchmarks.load import REPOSITORY, Row, Running, in_turns, middle, print_rows, ratio, running, say

COMMANDS = {
    "kernel": ((sys.executable, "-m", "kernel", "serve", "--port", "{port}"), "/healthz"),
    "pocketbase": (("pocketbase", "serve", "--http=127.0.0.1:{port}"), "/api/health"),
    "bare": ((sys.executable, "-m", "benchmarks.bare_rsgi", "{port}"), "/"),
}
NAMES = "from kernel import Event, Kernel, Plugin, Request, Response, Route, hookimpl"
STARTS = 10
SETTLED_SECONDS = 2  # a server that has just started may still be at work
IMPORTED = 40
MOST_MEGABYTES = 180.0
BOOT = 1.5
IMPORT = 1.3


@dataclasses.dataclass(frozen=True)
class Memory:
    """What a process holds, in MB; shared pages count in proportion in one figure, and whole in the other."""

    command: str
    proportional: float
    resident: float


def measure() -> list[Row]:
    """Return the rows for boot, memory and import."""
    if shutil.which("pocketbase") is None:
        raise SystemExit("needs PocketBase: run this with `uv run --group bench`")
    with TemporaryDirectory(prefix="bytecode-") as bytecode:
        return [*starts(bytecode), memory(bytecode), *imports(bytecode)]


def starts(bytecode: str) -> list[Row]:
    """Measure the time from start to first answer, and to the first answer out of the database."""
    rows = []
    with TemporaryDirectory(prefix="boot-") as known:
        for kind, folder in (("a new folder", None), ("a known folder", Path(known))):
            say(f"start to first answer in {kind}, seconds:")
            for name in COMMANDS:
                start(name, bytecode, folder)
            measures = {name: partial(start, name, bytecode, folder) for name in COMMANDS}
            taken = in_turns({**measures, "rest": partial(start_rest, bytecode, folder)}, STARTS)
            ours, theirs, bare = (f"{middle(taken, name) * 1000:.0f} ms" for name in COMMANDS)
            times = ratio(taken, "kernel", "pocketbase")
            what = f"first answer in {kind}: kernel"
            rows.append(Row(f"{what} and PocketBase", ours, theirs, times, f"at most {BOOT}", times <= BOOT))
            rows.append(Row(f"{what} and a bare callable", ours, bare, ratio(taken, "kernel", "bare")))
            rest = f"{middle(taken, 'rest') * 1000:.0f} ms"
            what = f"first rows in {kind}, and first answer: kernel"
            rows.append(Row(what, rest, ours, ratio(taken, "rest", "kernel")))
    return rows


def start(name: str, bytecode: str, folder: Path | None) -> float:
    """Start a server, stop it, and return the seconds to its first answer."""
    with _started(name, bytecode, folder) as server:
        return server.seconds


def start_rest(bytecode: str, folder: Path | None) -> float:
    """Start the kernel, stop it, and return the seconds to its first answer out of the database.

    The rows are asked for as soon as the server has said that it is well.
    """
    with _started("kernel", bytecode, folder) as server:
        key = json.loads((server.folder / "data" / "keys.json").read_text())["secret_key"]
        begun = monotonic()
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
        connection.request("GET", "/rest/v1/notes", headers={"apikey": key})
        status = connection.getresponse().status
        taken = monotonic() - begun
        connection.close()
        if status != 200:
            raise SystemExit(f"the kernel answered {status}, not rows")
        return server.seconds + taken


@contextmanager
def _started(name: str, bytecode: str, folder: Path | None) -> Iterator[Running]:
    command, path = COMMANDS[name]
    with TemporaryDirectory(prefix="boot-") as new:
        home = (folder or Path(new)) / name
        home.mkdir(exist_ok=True)
        with _running(command, path, home, bytecode) as server:
            yield server


def _running(
    command: tuple[str, ...], path: str, home: Path, bytecode: str
) -> AbstractContextManager[Running]:
    environment = {
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONPYCACHEPREFIX": bytecode,
        "PYTHONDONTWRITEBYTECODE": "",
    }
    if command[0] == "pocketbase":  # it keeps its data beside its program unless told otherwise
        command = (*command, f"--dir={home / 'pb_data'}")
    return running(command, home, path, environment=environment)


def memory(bytecode: str) -> Row:
    """Measure what an idle server holds."""
    say("memory of an idle server, proportional and resident set size in MB:")
    held = {}
    for name in ("kernel", "pocketbase"):
        command, path = COMMANDS[name]
        with TemporaryDirectory(prefix="boot-") as new:
            held[name] = _held(command, path, Path(new), bytecode)
        for process in held[name]:
            say(f"  {name}: {process.proportional:6.1f} {process.resident:6.1f}  {process.command}")
    ours, theirs = (sum(process.proportional for process in processes) for processes in held.values())
    count = len(held["kernel"])
    return Row(
        f"memory of an idle server ({count} process{'es' if count > 1 else ''}): kernel and PocketBase",
        f"{ours:.0f} MB",
        f"{theirs:.0f} MB",
        ours / theirs,
        f"under {MOST_MEGABYTES:.0f} MB",
        ours < MOST_MEGABYTES,
    )


def _held(command: tuple[str, ...], path: str, home: Path, bytecode: str) -> list[Memory]:
    with _running(command, path, home, bytecode) as server:
        sleep(SETTLED_SECONDS)
        return processes(server.process.pid)


def processes(pid: int) -> list[Memory]:
    """Return what a process and all below it hold."""
    folder = Path("/proc", str(pid))
    line = folder.joinpath("cmdline").read_text().replace("\0", " ")
    rollup = folder.joinpath("smaps_rollup").read_text()
    sizes = {name: int(size) / 1024 for name, size in re.findall(r"^(\w+): +(\d+) kB$", rollup, re.MULTILINE)}
    found = [Memory(line, sizes["Pss"], sizes["Rss"])]
    for task in folder.joinpath("task").iterdir():
        for child in task.joinpath("children").read_text().split():
            found += processes(int(child))
    return found


def imports(bytecode: str) -> list[Row]:
    """Measure the bare import, and the import of the names that plugins use, by whole processes."""
    say("imports, whole processes, seconds:")
    codes = {
        "kernel": "import kernel",
        "libraries": "import msgspec, pluggy",
        "names": NAMES,
        "needed": f"for name in {needed(bytecode)}: __import__(name)",
        "nothing": "pass",
    }
    for code in codes.values():
        imported(code, bytecode)
    taken = in_turns({name: partial(imported, code, bytecode) for name, code in codes.items()}, IMPORTED)
    say(f"  Python alone: {middle(taken, 'nothing') * 1000:.1f} ms, contained in all of these")
    return [
        _import_row("import kernel, and its libraries msgspec and pluggy", taken, "kernel", "libraries"),
        _import_row(
            "import the kernel's names, and all that they import from elsewhere", taken, "names", "needed"
        ),
    ]


def _import_row(what: str, taken: list[dict[str, float]], ours: str, theirs: str) -> Row:
    times = ratio(taken, ours, theirs)
    first, second = (f"{middle(taken, name) * 1000:.1f} ms" for name in (ours, theirs))
    return Row(what, first, second, times, f"at most {IMPORT}", times <= IMPORT)


def needed(bytecode: str) -> list[str]:
    """Return the modules outside the kernel that its names import."""
    code = f"{NAMES}; import sys; print(*(name for name in sys.modules if name.split('.')[0] != 'kernel'))"
    told = subprocess.run(_python(code, bytecode), capture_output=True, text=True, check=True)
    return told.stdout.split()


def imported(code: str, bytecode: str) -> float:
    """Return the seconds that a process takes to run `code`."""
    begun = monotonic()
    subprocess.run(_python(code, bytecode), check=True)
    return monotonic() - begun


def _python(code: str, bytecode: str) -> list[str]:
    return [sys.executable, "-I", "-X", f"pycache_prefix={bytecode}", "-c", code]


if __name__ == "__main__":
    print_rows(measure())

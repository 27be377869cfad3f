"""How long `kernel serve` takes to its first answer, and the memory it then holds, beside PocketBase.

Both start in turns, in a new folder each time and in a folder they know, with their defaults. Memory is the
proportional set size of all processes of an idle server. Importing the kernel stands beside importing the two
libraries that it needs at once.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from benchmarks.load import Row, in_turns, middle, print_rows, ratio, running, say

COMMANDS = {
    "kernel": ((sys.executable, "-m", "kernel", "serve", "--port", "{port}"), "/healthz"),
    "pocketbase": (("pocketbase", "serve", "--http=127.0.0.1:{port}"), "/api/health"),
}
IMPORTS = {
    "kernel": "from kernel import Event, Kernel, Plugin, Request, Response, Route, hookimpl",
    "needed": "import msgspec, pluggy",
    "nothing": "pass",
}
STARTS = 10
IMPORTED = 40
MEGABYTE = 1024.0
MOST_MEGABYTES = 180.0
BOOT = 1.5
IMPORT = 1.3


def measure() -> list[Row]:
    """Return the rows for boot, memory and import."""
    if shutil.which("pocketbase") is None:
        raise SystemExit("needs PocketBase: run this with `uv run --group bench`")
    return [*starts(), memory(), imports()]


def starts() -> list[Row]:
    """Measure the time from start to first answer."""
    rows = []
    with TemporaryDirectory(prefix="boot-") as known:
        for kind, folder in (("a new folder", None), ("a known folder", Path(known))):
            say(f"start to first answer in {kind}, seconds:")
            for name in COMMANDS:
                start(name, folder)
            taken = in_turns({name: partial(start, name, folder) for name in COMMANDS}, STARTS)
            times = ratio(taken, "kernel", "pocketbase")
            ours, theirs = (f"{middle(taken, name) * 1000:.0f} ms" for name in COMMANDS)
            what = f"first answer in {kind}: kernel and PocketBase"
            rows.append(Row(what, ours, theirs, times, f"at most {BOOT}", times <= BOOT))
    return rows


def start(name: str, folder: Path | None) -> float:
    """Start a server, stop it, and return the seconds to its first answer."""
    command, path = COMMANDS[name]
    with TemporaryDirectory(prefix="boot-") as new:
        home = (folder or Path(new)) / name
        home.mkdir(exist_ok=True)
        with running(_here(command, home), home, path) as server:
            return server.seconds


def _here(command: tuple[str, ...], home: Path) -> tuple[str, ...]:
    """PocketBase keeps its data beside its program unless told otherwise."""
    return (*command, f"--dir={home / 'pb_data'}") if command[0] == "pocketbase" else command


def memory() -> Row:
    """Measure what an idle server holds."""
    say("memory of an idle server, in MB:")
    held = {}
    for name, (command, path) in COMMANDS.items():
        with TemporaryDirectory(prefix="boot-") as new:
            held[name] = _held(command, path, Path(new))
        for line, size in held[name]:
            say(f"  {name}: {size:6.1f}  {line}")
    ours, theirs = (sum(size for _, size in held[name]) for name in COMMANDS)
    return Row(
        f"memory, idle ({len(held['kernel'])} process and {len(held['pocketbase'])}): kernel and PocketBase",
        f"{ours:.0f} MB",
        f"{theirs:.0f} MB",
        ours / theirs,
        f"under {MOST_MEGABYTES:.0f} MB",
        ours < MOST_MEGABYTES,
    )


def _held(command: tuple[str, ...], path: str, home: Path) -> list[tuple[str, float]]:
    with running(_here(command, home), home, path) as server:
        return processes(server.process.pid)


def processes(pid: int) -> list[tuple[str, float]]:
    """Return the command line and the proportional set size, in MB, of a process and all below it."""
    folder = Path("/proc", str(pid))
    line = folder.joinpath("cmdline").read_text().replace("\0", " ")
    rollup = folder.joinpath("smaps_rollup").read_text().splitlines()
    size = next(int(entry.split()[1]) for entry in rollup if entry.startswith("Pss:"))
    found = [(line, size / MEGABYTE)]
    for task in folder.joinpath("task").iterdir():
        for child in task.joinpath("children").read_text().split():
            found += processes(int(child))
    return found


def imports() -> Row:
    """Measure importing the names that a plugin imports, by whole processes."""
    say("imports, whole processes, seconds:")
    taken = in_turns({name: partial(imported, code) for name, code in IMPORTS.items()}, IMPORTED)
    times = ratio(taken, "kernel", "needed")
    ours, theirs = (f"{middle(taken, name) * 1000:.1f} ms" for name in ("kernel", "needed"))
    nothing = f"{middle(taken, 'nothing') * 1000:.1f} ms"
    return Row(
        f"importing the public names, and msgspec and pluggy (Python alone {nothing})",
        ours,
        theirs,
        times,
        f"at most {IMPORT}",
        times <= IMPORT,
    )


def imported(code: str) -> float:
    """Return the seconds that a process takes to run `code`."""
    begun = monotonic()
    subprocess.run([sys.executable, "-I", "-c", code], check=True)
    return monotonic() - begun


if __name__ == "__main__":
    print_rows(measure())

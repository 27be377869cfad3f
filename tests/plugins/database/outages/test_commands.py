"""Commands where a disk is full or a file may not be written: a line says where and what to do, and nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[4]

PROGRAM = """
import os, subprocess, sys
from pathlib import Path

project, disk, url = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
(project / "migrations").mkdir()
(project / "migrations" / "1_t.sql").write_text("create table t (id int primary key, body text)")
(project / "migrations" / "2_rows.sql").write_text(
    "insert into t select i, (select string_agg(md5((100 * i + j)::text), '') from generate_series(1, 40) j)"
    " from generate_series(1, 600) i"
)

def kernel(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "kernel", "--project", str(project), *arguments], capture_output=True, text=True
    )

def done(*arguments):
    ran = kernel(*arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout

def there():
    # What SQLite cannot do without, and finds out about at the next start, is nobody's loss.
    passing = ("tmp", "kernel.db-shm", "kernel.db-wal")
    files = (path for path in disk.rglob("*") if path.is_file() and path.name not in passing)
    return {str(path.relative_to(disk)): path.stat().st_size for path in files}

def refused(*arguments, told, kept=False):
    before = there()
    ran = kernel(*arguments)
    said = [line for line in ran.stderr.splitlines() if not line.startswith("{")]
    assert ran.returncode == 1, (ran.returncode, ran.stdout, ran.stderr)
    assert len(said) == 1 and said[0].startswith("error: "), ran.stderr
    assert str(disk) in said[0], said
    assert all(one in said[0] for one in told), said
    assert kept or there() == before, (before, there())

def configure(data):
    (project / "kernel.toml").write_text(f'[kernel]\\ndata = "{data}"\\n[database]\\nurl = "{url}"\\n')

def fill(room=0):
    ballast = os.open(disk / "ballast", os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(ballast, bytes(4096))
    except OSError:
        os.ftruncate(ballast, max(0, os.fstat(ballast).st_size - room))
        os.close(ballast)

def free():
    (disk / "ballast").unlink()
"""


@pytest.fixture
def small_disk(tmp_path: Path, requires_tool: Callable[[str], str]) -> tuple[Path, list[str]]:
    """A folder, and what to start a process with that is to find a disk of 5 MB there; it goes with the process."""
    disk = tmp_path / "disk"
    disk.mkdir()
    own = ["--mount"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--mount"]
    script = f'mount -t tmpfs -o size=5m tmpfs "{disk}" && exec "$@"'
    return disk, [requires_tool("unshare"), *own, "sh", "-c", script, "sh"]


@pytest.fixture(params=["sqlite", "postgresql"])
def run(request: pytest.FixtureRequest, tmp_path: Path, small_disk: Any) -> Callable[[str], None]:
    """A function that runs a program on a project of either engine, which is `project`, with a small `disk`."""
    url = "sqlite:///kernel.db"
    if request.param == "postgresql":
        request.getfixturevalue("requires_tool")("pg_dump")
        url = request.getfixturevalue("make_postgresql_database")()

    def run(program: str) -> None:
        disk, before = small_disk
        (tmp_path / "project").mkdir()
        done = subprocess.run(
            [*before, sys.executable, "-c", PROGRAM + program, str(tmp_path / "project"), str(disk), url],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=110,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    return run


def test_a_backup(run: Callable[[str], None]) -> None:
    run("""
configure("data")
done("migrate", "up")
for room in (0, 100_000, 500_000):
    fill(room)
    refused("backup", str(disk / "a.backup"), told=["free some of"])
    free()
done("backup", str(disk / "a.backup"))
assert set(there()) == {"a.backup"}
""")


def test_a_restore(run: Callable[[str], None]) -> None:
    run("""
configure(disk / "data")
done("migrate", "up")
done("backup", str(project / "a.backup"))
for room in (0, 200) if url.startswith("postgresql") else (0, 200_000):
    fill(room)
    told = ["No space left", "free some of", "nothing was changed"]
    refused("restore", "--yes", str(project / "a.backup"), told=told)
    free()
done("restore", "--yes", str(project / "a.backup"))
""")


def test_a_copy(run: Callable[[str], None]) -> None:
    run("""
configure("data")
done("migrate", "up")
for room in (0, 200_000, 1_000_000):
    fill(room)
    # What was begun is begun again by the next.
    refused("db", "copy", "--to", f"sqlite:///{disk}/copy.db", told=["disk is full", "free some of"], kept=True)
    free()
assert '"rows": 600' in done("db", "copy", "--to", f"sqlite:///{disk}/copy.db")
""")


@pytest.mark.parametrize("run", ["sqlite"], indirect=True)
def test_a_migration(run: Callable[[str], None]) -> None:
    """And the start, and the doctor: where it is full, there may not even be room for what readers share."""
    run("""
configure(disk / "data")
done("migrate", "up")
(project / "migrations" / "3_more.sql").write_text("create table u as select * from t; create index on u (body)")
for room in (0, 50_000, 500_000):
    fill(room)
    refused("migrate", "up", told=["disk is full", "free some of"])
    refused("serve", "--port", "0", told=["disk is full", "free some of"])
    if not room:
        import json
        found = {one["about"]: one for one in json.loads(kernel("doctor").stdout)}
        assert found["database"]["state"] == found["disk"]["state"] == "problem"
        assert "disk is full" in found["database"]["text"]
        assert found["database"]["remedy"].startswith(f"free some of the disk that {disk}/data is on"), found
    free()
done("migrate", "up")
assert json.loads(done("migrate", "status"))[-1]["state"] == "applied"
""")


@pytest.mark.parametrize("run", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("file", "folder"), [(0o000, 0o700), (0o400, 0o500), (0o600, 0o000)])
def test_what_may_not_be_read_or_written(
    run: Callable[[str], None], requires_tool: Callable[[str], str], file: int, folder: int
) -> None:
    lost = "-dac_override,-dac_read_search"
    as_anyone = [requires_tool("setpriv"), f"--inh-caps={lost}", f"--bounding-set={lost}"]
    run(f"""
configure(disk / "data")
done("migrate", "up")
done("backup", str(project / "a.backup"))
(project / "migrations" / "3_more.sql").write_text("create table u (n int)")
(disk / "data" / "kernel.db").chmod({file})
(disk / "data").chmod({folder})
trusted, run = subprocess.run, lambda line, **rest: trusted([*{as_anyone if os.geteuid() == 0 else []}, *line], **rest)
subprocess.run = run
writable = "let this user" if {folder} == 0o700 else "make it writable"
for command in ("migrate up", "serve --port 0", "restore --yes a.backup", "backup b.backup"):
    name, *rest = command.split()
    rest = [str(project / one) if one.endswith(".backup") else one for one in rest]
    refused(name, *rest, told=[writable])
refused("db", "copy", "--to", f"sqlite:///{{disk}}/copy.db", told=[writable])
found = {{one["about"]: one for one in __import__("json").loads(kernel("doctor").stdout)}}
assert found["database"]["state"] == "problem"
assert "let this user" in found["database"]["remedy"], found
""")

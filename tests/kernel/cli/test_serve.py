from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kernel import Kernel
from kernel.cli.starter import is_untouched, remove_starters, write_starters
from kernel.config import Config

KERNEL = [sys.executable, "-m", "kernel"]


@contextmanager
def served(project: Path, *arguments: str, lines: Callable[[str], bool]) -> Iterator[list[str]]:
    """Run `kernel serve`, and give what it has said up to the line for which `lines` holds; it must stop well."""
    process = subprocess.Popen(
        [*KERNEL, "serve", "--port", "0", *arguments],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        for line in process.stdout:
            said.append(line.rstrip("\n"))
            if lines(line):
                break
        yield said
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def shows_first_steps(line: str) -> bool:
    return "kernel plugins list" in line


def test_in_an_empty_folder_it_makes_an_example_and_its_curl_creates_and_reads(project, requires_tool):
    requires_tool("curl")
    with served(project, lines=shows_first_steps) as said:
        assert re.fullmatch(r"No project here yet, so it begins with migrations/\d{14}_notes\.sql", said[0])
        assert any(re.fullmatch(r"Ready at http://127\.0\.0\.1:\d+", line) for line in said)
        create, read = [line.strip() for line in said if line.strip().startswith("curl ")]
        created = subprocess.run(["sh", "-c", f"{create} -sSf"], capture_output=True, text=True, timeout=30)
        assert created.returncode == 0, created.stderr
        assert [row["body"] for row in json.loads(created.stdout)] == ["Hello"]
        listed = subprocess.run(["sh", "-c", f"{read} -sSf"], capture_output=True, text=True, timeout=30)
        assert json.loads(listed.stdout) == json.loads(created.stdout)
    assert (project / "data").stat().st_mode & 0o777 == 0o700
    assert len(list((project / "migrations").iterdir())) == 1
    assert "\x1b[" not in "".join(said)


def test_the_second_start_makes_nothing_even_if_the_example_is_gone(project):
    with served(project, lines=shows_first_steps):
        pass
    for path in (project / "data").glob("kernel.db*"):
        path.unlink()
    for path in (project / "migrations").iterdir():
        path.unlink()
    (project / "migrations").rmdir()
    with served(project, lines=shows_first_steps) as said:
        assert not any("notes" in line for line in said)
    assert not (project / "migrations").exists()


@pytest.mark.parametrize("name", ["kernel.toml", "migrations", "data"])
def test_a_folder_that_holds_a_project_is_left_as_it_is(project, name):
    kernel = Kernel(Config(project=project), role="command")
    kernel.register()
    (project / name).mkdir()
    if is_untouched(kernel.config):
        assert write_starters(kernel) == []
    assert [path.name for path in project.rglob("*")] == [name]


def test_starter_files_that_nothing_has_come_of_are_taken_back(project):
    kernel = Kernel(Config(project=project), role="command")
    kernel.register()
    starters = write_starters(kernel)
    assert [path.parent for path in starters] == [project / "migrations"]
    (project / "migrations" / "mine.sql").write_text("")
    remove_starters(project, starters)
    assert [path.name for path in (project / "migrations").iterdir()] == ["mine.sql"]


def test_keys_are_not_written_to_the_log_of_a_public_address(project):
    with served(
        project, "--host", "0.0.0.0", lines=lambda line: "on a terminal" in line or shows_first_steps(line)
    ) as said:
        assert not any("sb_secret" in line or "eyJ" in line for line in said)


def test_a_start_that_fails_leaves_no_example_behind(project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*KERNEL, "serve", "--port", port], cwd=project, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is in use" in done.stderr
    assert list(project.iterdir()) == []


@pytest.mark.parametrize(
    ("prepare", "arguments", "says"),
    [
        ("(p / 'kernel.toml').write_text('[kernel')", [], "not valid TOML"),
        ("(p / 'kernel.toml').write_text('[kernel]\\nport = \"x\"')", [], "[kernel] port"),
        ("(p / 'kernel.toml').write_text('[kernle]')", [], "did you mean 'kernel'?"),
        ("(p / 'data').write_text('')", [], "data"),
        ("None", ["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
    ],
)
def test_what_keeps_it_from_starting_is_one_line(project, prepare, arguments, says):
    eval(prepare, {"p": project})
    done = subprocess.run(
        [*KERNEL, "serve", "--port", "0", *arguments], cwd=project, capture_output=True, text=True, timeout=60
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == 1
    assert len(errors) == 1, done.stderr
    assert says in errors[0]
    assert "Traceback" not in done.stderr


def test_a_port_that_is_none_is_a_usage_error(project):
    done = subprocess.run([*KERNEL, "serve", "--port", "70000"], cwd=project, capture_output=True, timeout=60)
    assert done.returncode == 2
    assert list(project.iterdir()) == []

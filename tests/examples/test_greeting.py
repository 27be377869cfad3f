"""The third-party plugin in examples/greeting: its own tests, its page, and a life outside this repository."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
GREETING = ROOT / "examples" / "greeting"
READY = re.compile(rb"Ready at (http://127\.0\.0\.1:\d+)")


def clean_environment() -> dict[str, str]:
    """The environment without what would lead back to this repository or its kernel."""
    ours = ("KERNEL_", "PYTHONPATH", "PYTEST_", "VIRTUAL_ENV", "UV_PROJECT")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def do(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=clean_environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def serving(kernel: Path, project: Path) -> Iterator[str]:
    command = [kernel, "serve", "--port", "0"]
    with (project / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=project, env=clean_environment(), stdout=subprocess.PIPE, stderr=log
        )
    try:
        assert process.stdout
        for line in process.stdout:
            if found := READY.search(line):
                yield found[1].decode()
                break
        else:
            raise AssertionError(f"not ready: {(project / 'log').read_text()}")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)


def test_its_own_tests_pass() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "testpaths=tests"]
    environment = {**clean_environment(), "PYTHONPATH": str(GREETING)}
    done = subprocess.run(command, cwd=GREETING, env=environment, capture_output=True, text=True, timeout=60)
    assert re.search(r"\d+ passed", done.stdout), done.stdout + done.stderr
    assert "failed" not in done.stdout


def test_the_plugin_on_its_page_decorates_greetings(
    make_kernel: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(
        r"^```python\n(.*?)^```$", (GREETING / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "polite.py").write_text(code)
    monkeypatch.syspath_prepend(GREETING)
    monkeypatch.syspath_prepend(tmp_path)
    plugins = ["polite:PolitePlugin", "kernel_greeting:GreetingPlugin"]
    kernel = make_kernel(plugins=plugins)
    answer = kernel.client.get("/greeting/v1/Ada").json()
    assert answer == {"message": "Hello, Ada, how do you do?"}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_built_installed_enabled_and_served_in_a_fresh_environment(
    requires_tool: Callable[[str], str], tmp_path: Path
) -> None:
    uv = requires_tool("uv")
    project = tmp_path / "project"
    project.mkdir()
    for source in (ROOT, GREETING):
        do(uv, "build", "--wheel", "--out-dir", tmp_path, source, cwd=tmp_path)
    wheels = sorted(tmp_path.glob("*.whl"))
    assert [wheel.name.partition("-")[0] for wheel in wheels] == ["backend_kernel", "kernel_greeting"]
    do(uv, "venv", "--python", sys.executable, "env", cwd=tmp_path)
    bin_folder = tmp_path / "env" / "bin"
    do(uv, "pip", "install", "--python", bin_folder / "python", *wheels, "pytest", cwd=tmp_path)
    kernel = bin_folder / "kernel"

    assert "greeting" not in do(kernel, "config", "show", "--json", cwd=project)
    do(kernel, "plugins", "enable", "greeting", cwd=project)
    with serving(kernel, project) as url:
        assert get(f"{url}/greeting/v1/Ada") == {"message": "Hello, Ada"}
        assert get(f"{url}/greeting/v1") == {"Ada": 1}
        assert get(f"{url}/readyz")["status"] == "ok"

    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_greeting.py").write_bytes((GREETING / "tests" / "test_greeting.py").read_bytes())
    assert "passed" in do(bin_folder / "python", "-m", "pytest", "-q", tests, cwd=tmp_path)

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WITHOUT_FIXTURES = """
import sys


def test_nothing_of_the_kernel_is_imported_but_the_fixtures():
    loaded = sorted(name for name in sys.modules if name.split(".")[0] in ("kernel", "plugins", "msgspec"))
    assert loaded == ["kernel", "kernel.testing", "kernel.testing.pytest_plugin"]
"""

WITH_FIXTURES = """
import pytest
from kernel import Event, Plugin, Route, hookimpl


class Greeted(Event, frozen=True):
    name = "hello.someone.greeted"


class HelloPlugin(Plugin):
    name = "hello"
    events = (Greeted,)

    @hookimpl
    def kernel_routes(self):
        yield Route("GET", "/hello", self.greet)

    def greet(self, request):
        self.kernel.events.publish(Greeted())
        return "hello"

    @hookimpl
    def kernel_stop(self):
        print("stopped with the test")


@pytest.fixture
def kernel_options():
    return {"plugins": [HelloPlugin]}


def test_fixtures_meet(kernel, kernel_client, recorder):
    assert kernel.role == "test"
    assert kernel_client.get("/hello").text == "hello"
    recorder.expect_events({"hello.someone.greeted": 1})
    assert recorder.called("kernel_routes") == ["hello"]
    recorder.clear()
    recorder.expect_events("none")
    with pytest.raises(AssertionError):
        recorder.expect_events({"hello.someone.greeted"})
"""


def _pytest(folder: Path, source: str) -> str:
    (folder / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_run_without_our_fixtures_imports_next_to_nothing(tmp_path: Path) -> None:
    _pytest(tmp_path, WITHOUT_FIXTURES)


def test_the_fixtures_are_there_without_being_asked_for(tmp_path: Path) -> None:
    assert "stopped with the test" in _pytest(tmp_path, WITH_FIXTURES)

"""The queue and its thread."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from plugins.logs.entries import Entry
from plugins.logs.rendering import as_json
from plugins.logs.writer import Writer


class Gate(io.StringIO):
    """A stream that takes nothing until it is opened, like a pipe that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.reached = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.open.wait()
        return super().write(text)


class Full(io.StringIO):
    """A disk without room, until there is some."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


@pytest.fixture
def gate() -> Iterator[Gate]:
    stream = Gate()
    yield stream
    stream.open.set()


def record(text: str) -> Entry:
    return logging.LogRecord("kernel", logging.INFO, "", 0, text, None, None)


def message(entry: Entry) -> str:
    assert isinstance(entry, logging.LogRecord)
    return f"{entry.getMessage()} {getattr(entry, 'lines', '')}".strip()


def test_lines_come_in_order_and_all_are_there_after_close() -> None:
    stream = io.StringIO()
    writer = Writer(stream, lambda: message, limit=10_000)
    for number in range(5_000):
        writer.put(record(str(number)))
    writer.close()

    assert stream.getvalue().split() == [str(number) for number in range(5_000)]


def test_a_stream_that_takes_nothing_fills_the_queue_and_not_the_memory(gate: Gate) -> None:
    writer = Writer(gate, lambda: message, limit=10)
    writer.put(record("first"))
    assert gate.reached.wait(5)
    for number in range(100):
        writer.put(record(str(number)))

    assert writer.dropped == 90
    gate.open.set()
    writer.close()
    lines = gate.getvalue().splitlines()
    assert lines[:-1] == ["first", *map(str, range(10))]
    assert lines[-1].startswith("log lines were dropped")
    assert lines[-1].endswith(" 90")


def test_lines_that_could_not_be_written_are_counted_and_reported_later() -> None:
    stream = Full()
    writer = Writer(stream, lambda: message, limit=10)
    writer.put(record("lost"))
    while not writer.dropped:
        threading.Event().wait(0.001)
    stream.full = False
    writer.put(record("written"))
    writer.close()

    lines = stream.getvalue().splitlines()
    assert lines[0] == "written"
    assert lines[1].endswith(" 1")


def test_close_gives_up_on_a_stream_that_takes_nothing(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugins.logs.writer.STOP_SECONDS", 0.05)
    writer = Writer(gate, lambda: message, limit=10)
    writer.put(record("stuck"))
    assert gate.reached.wait(5)

    writer.close()

    assert gate.getvalue() == ""


def test_a_process_ends_cleanly_when_nobody_reads_its_log() -> None:
    program = (
        "import sys, logging\n"
        "from kernel import Kernel\n"
        "from kernel.config import Config\n"
        "from plugins.logs import LogsPlugin, writer\n"
        "writer.STOP_SECONDS = 0.1\n"
        "with Kernel(Config({'logs': {'format': 'json'}}), plugins=[LogsPlugin], role='test'):\n"
        "    for _ in range(5000): logging.getLogger('kernel').warning('x' * 100)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    try:
        assert process.wait(20) == 0
    finally:
        process.kill()
        assert process.stderr is not None
        process.stderr.close()


def test_json_is_the_renderer_without_heavy_imports() -> None:
    code = "import sys; import plugins.logs; sys.exit('structlog' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert as_json(record("x")).startswith('{"time":')

"""Records of Python's logging."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

import pytest

from kernel import Secret
from plugins.logs.rendering import as_json, pretty
from plugins.logs.writer import Writer

LOG = logging.getLogger("kernel.some_plugin")


def record(text: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("kernel", logging.WARNING, "", 0, text, arguments, None)
    made.__dict__.update(extra)
    return made


STYLES = pytest.mark.parametrize("style", ["json", "pretty"])


def test_a_record_keeps_its_logger_level_and_extra_fields(logged: Callable[..., Any]) -> None:
    kernel = logged()
    LOG.warning("disk at %d%%", 91, extra={"error_id": "e1", "volumes": ["a", "b"]})

    (line,) = kernel.lines

    assert (line["logger"], line["level"], line["event"]) == ("kernel.some_plugin", "warning", "disk at 91%")
    assert (line["error_id"], line["volumes"]) == ("e1", ["a", "b"])


@STYLES
def test_a_traceback_is_kept(logged: Callable[..., Any], style: str) -> None:
    kernel = logged(format=style)
    try:
        raise LookupError("no such thing\nforged line")
    except LookupError:
        LOG.exception("it failed", extra={"error_id": "e1"})

    assert "test_a_traceback_is_kept" in kernel.text
    assert "LookupError: no such thing" in kernel.text
    assert not any(line.startswith("forged") for line in kernel.text.splitlines())


def test_others_are_heard_from_warnings_on_and_the_kernel_from_the_level_on(
    logged: Callable[..., Any],
) -> None:
    kernel = logged(level="debug")
    LOG.debug("ours")
    logging.getLogger("kernels").error("theirs, despite the name")
    logging.getLogger("urllib").warning("theirs")
    logging.getLogger("urllib").info("not heard")

    assert [line["event"] for line in kernel.lines] == ["ours", "theirs, despite the name", "theirs"]


def test_the_level_is_a_setting(logged: Callable[..., Any]) -> None:
    kernel = logged(level="error")
    LOG.warning("not heard")
    LOG.error("heard")
    kernel.request()

    assert [line["event"] for line in kernel.lines] == ["heard"]


@STYLES
def test_secrets_never_appear(logged: Callable[..., Any], style: str) -> None:
    kernel = logged(format=style)
    hidden = "hidden-value-42"
    LOG.warning("with %s and Bearer %s", Secret(hidden), hidden)
    LOG.warning("fields", extra={"password": hidden, "API_KEY": hidden, "headers": {"Authorization": hidden}})
    LOG.warning("nested", extra={"settings": [{"smtp": {"password": hidden}}, Secret(hidden)]})
    LOG.warning("token eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.%s", hidden)
    try:
        raise ValueError(f"authorization: bearer {hidden}")
    except ValueError:
        LOG.exception("failed")

    assert kernel.text.count("fields") == 1
    assert hidden not in kernel.text


@STYLES
def test_a_message_cannot_forge_a_line(logged: Callable[..., Any], style: str) -> None:
    kernel = logged(format=style)
    LOG.warning("one\ntwo\r\x1b[2K\u2028three %s", "\nfour", extra={"field\nname": "five\nsix"})

    lines = [line for line in kernel.text.splitlines() if "ready" not in line and "stopping" not in line]

    assert len(lines) == 1
    assert "\x1b" not in lines[0]


@STYLES
def test_a_record_that_is_wrong_itself_is_still_written(style: str) -> None:
    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError("hidden-value")

    stream = io.StringIO()
    writer = Writer(stream, lambda: as_json if style == "json" else pretty(colours=False), limit=10)
    writer.put(record("%d apples", "many"))
    writer.put(record("fields", thing=Unprintable()))
    writer.put(record("lone surrogate \ud800", also="\ud800", number=1))
    writer.close()

    first, second, third = stream.getvalue().splitlines()
    assert "%d apples (arguments do not fit: TypeError)" in first
    assert "a log line could not be rendered: RuntimeError" in second
    assert "lone surrogate \\" in third


def test_a_field_cannot_take_the_place_of_a_lines_own(logged: Callable[..., Any]) -> None:
    kernel = logged()
    LOG.warning("true", extra={"event": "false", "level": "false", "time": "false", "logger": "false"})

    (line,) = kernel.lines

    assert (line["event"], line["level"], line["event_"]) == ("true", "warning", "false")


def test_two_kernels_write_each_record_once(logged: Callable[..., Any]) -> None:
    first, second = logged(), logged()
    LOG.warning("both are there")
    first.kernel.stop()
    LOG.warning("the second is left")

    events = [line["event"] for line in second.lines]

    assert events == ["both are there", "the second is left"]


def test_two_kernels_of_different_levels_leave_nothing_behind(logged: Callable[..., Any]) -> None:
    before = logging.getLogger("kernel").level
    first, second = logged(level="error"), logged(level="debug")
    first.kernel.stop()
    LOG.debug("heard by the second")

    assert [line["event"] for line in second.lines] == ["heard by the second"]
    assert logging.getLogger("kernel").level == before

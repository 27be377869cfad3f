"""The README's example works."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plugins.logs

README = (Path(plugins.logs.__file__).parent / "README.md").read_text()


def test_the_example_writes_the_line_that_is_shown(logged: Callable[..., Any]) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    shown = json.loads(re.findall(r"```json\n(.*?)```", README, re.DOTALL)[-1])
    names: dict[str, Any] = {"__name__": "readme"}
    exec(source, names)
    running = logged()
    names["StockPlugin"](running.kernel, None).kernel_start()

    (line,) = running.lines

    assert {**line, "time": "…"} == shown

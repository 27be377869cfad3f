"""The README's example works."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

import plugins.migrations

README = (Path(plugins.migrations.__file__).parent / "README.md").read_text()


def test_the_examples_tables_are_made(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    notes, orders = re.findall(r"```sql\n(.*?)```", README, re.DOTALL)
    package = project.folder / "site" / "readme_shop"
    (package / "migrations").mkdir(parents=True)
    (package / "__init__.py").write_text(source)
    (package / "migrations" / "1_orders.sql").write_text(orders)
    project.write("20260131120000_notes.sql", notes)
    monkeypatch.syspath_prepend(package.parent)

    database = project.boot(importlib.import_module("readme_shop").ShopPlugin)

    assert {("shop", "orders"), ("public", "notes")} <= set(database.catalogue.tables)

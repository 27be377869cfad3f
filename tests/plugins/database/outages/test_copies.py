"""A copy whose target's server goes while it is at work: that is said, and the next try starts clean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kernel import Kernel
from kernel.config import Config
from kernel.contracts import Database
from plugins.database import DatabasePlugin
from plugins.database.copying import copying
from plugins.database.copying.copying import CopyError
from plugins.migrations import MigrationsPlugin


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_target_that_is_lost(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "1_t.sql").write_text("create table a (n int); create table b (n int);")
    config = Config(
        {"kernel": {"data": "data"}, "database": {"url": "sqlite:///kernel.db"}}, project=tmp_path
    )
    kernel = Kernel(config, plugins=[DatabasePlugin, MigrationsPlugin], role="command")
    kernel.register()
    kernel.prepare()
    with kernel.services[Database].transaction() as transaction:
        transaction.execute("insert into a values (1), (2)")
        transaction.execute("insert into b values (3)")
    target = server.url(server.make())
    copied = copying._copied

    def losing(pair: Any, *rest: Any) -> Any:
        if pair.source.name == "b":
            server.stop(how)
        return copied(pair, *rest)

    monkeypatch.setattr(copying, "_copied", losing)
    with pytest.raises(CopyError, match="cannot be copied"):
        copying.between(kernel, None, target, lambda *_: None, confirmed=False)
    monkeypatch.undo()
    server.start()

    sums = copying.between(kernel, None, target, lambda *_: None, confirmed=False)

    kernel.stop()
    assert [(one.table, one.rows) for one in sums] == [("public.a", 2), ("public.b", 1)]

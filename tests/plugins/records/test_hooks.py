"""The hooks of a write by themselves, without a kernel or a database."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pluggy
import pytest

from kernel.contracts.database import DatabaseError
from kernel.contracts.queries import Delete, Insert, Update
from kernel.events import Veto
from kernel.identity import Identity
from kernel.plugin import PROJECT, hookimpl
from plugins.records.hooks import WriteHooks
from plugins.records.hookspecs import RecordsHooks

ANN = Identity("authenticated", "ann")
TRANSACTION: Any = object()


def hooks_of(*plugins: object) -> WriteHooks:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(RecordsHooks)
    for plugin in plugins:
        manager.register(plugin)
    manager.check_pending()
    return WriteHooks(manager.hook)


class Before:
    def __init__(self, change: Any) -> None:
        self.change = change

    @hookimpl
    def records_before_write(self, rows: list[dict[str, Any]]) -> None:
        self.change(rows)


class Counting:
    def __init__(self) -> None:
        self.counts: list[int] = []

    @hookimpl
    def records_after_write(self, count: int) -> None:
        self.counts.append(count)


class Telling(Counting):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Any] = []

    @hookimpl
    def records_after_write(self, count: int, rows: Any) -> None:
        self.counts.append(count)
        self.rows.append(rows)


INSERT = Insert("things", ("id", "n", "gone"), '[{"id":1,"n":1.50,"other":9},{"id":2}]', 2)


def changed(change: Any, write: Any = INSERT) -> Any:
    return hooks_of(Before(change)).before(write, ANN, TRANSACTION)


def test_without_hooks_a_write_is_the_very_same() -> None:
    hooks = hooks_of()
    for write in (INSERT, Update("things", ("n",), '{"n":1}'), Delete("things")):
        assert hooks.before(write, ANN, TRANSACTION) is write  # type: ignore[type-var]
    hooks.after(INSERT, None, 2, ANN, TRANSACTION)
    assert not hooks.takes_rows


def test_only_who_wants_rows_has_them_returned() -> None:
    counting, telling = Counting(), Telling()
    assert not hooks_of(counting).takes_rows
    hooks = hooks_of(counting, telling)
    assert hooks.takes_rows
    hooks.after(INSERT, ['{"id":1,"n":1.50}'], 1, ANN, TRANSACTION)
    hooks.after(INSERT, None, 7, ANN, TRANSACTION)
    assert (counting.counts, telling.rows) == ([1, 7], [[{"id": 1, "n": Decimal("1.50")}], None])


def test_rows_are_what_is_going_to_be_written() -> None:
    seen: list[Any] = []
    changed(lambda rows: seen.extend(dict(row) for row in rows))
    assert seen == [{"id": 1, "n": Decimal("1.50")}, {"id": 2}]
    assert changed(lambda rows: None) == Insert(
        "things", ("id", "n", "gone"), '[{"id":1,"n":1.50},{"id":2}]', 2
    )


@pytest.mark.parametrize(
    ("change", "columns", "rows", "size"),
    [
        (lambda rows: rows[1].update(new="x"), ("id", "n", "gone", "new"), '[{"id":1,"n":1.50},{"id":2,"new":"x"}]', 2),
        (lambda rows: [row.pop("n", None) for row in rows], ("id", "gone"), '[{"id":1},{"id":2}]', 2),
        (lambda rows: rows.pop(), ("id", "n", "gone"), '[{"id":1,"n":1.50}]', 1),
        (lambda rows: rows.append({"id": 3}), ("id", "n", "gone"), '[{"id":1,"n":1.50},{"id":2},{"id":3}]', 3),
        (lambda rows: rows.clear(), ("gone",), "[]", 0),
    ],
)  # fmt: skip
def test_an_insert_is_what_its_rows_have_become(
    change: Any, columns: tuple[str, ...], rows: str, size: int
) -> None:
    assert changed(change) == Insert("things", columns, rows, size)


def test_an_insert_of_defaults_may_get_columns() -> None:
    def name(rows: list[dict[str, Any]]) -> None:
        for number, row in enumerate(rows):
            row["id"] = number

    assert changed(name, Insert("things", (), "[{},{}]", 2)) == Insert(
        "things", ("id",), '[{"id":0},{"id":1}]', 2
    )


def test_an_update_is_what_its_one_row_has_become() -> None:
    update = Update("things", ("n", "gone"), '{"n":1,"other":2}')
    assert changed(lambda rows: rows[0].update(n=Decimal("2.50"), new=None), update) == Update(
        "things", ("n", "gone", "new"), '{"n":2.50,"new":null}'
    )


def test_each_hook_sees_what_those_before_it_did() -> None:
    double = Before(lambda rows: rows[0].update(n=rows[0]["n"] * 2))
    more = Before(lambda rows: rows[0].update(n=rows[0]["n"] + 1))
    # Pluggy calls the last one first.
    written = hooks_of(more, double).before(Update("things", ("n",), '{"n":5}'), ANN, TRANSACTION)
    assert written.values == '{"n":11}'


def test_a_veto_is_the_databases_refusal_and_another_error_is_none() -> None:
    def refuse(rows: Any) -> None:
        raise Veto("no")

    with pytest.raises(DatabaseError) as caught:
        changed(refuse)
    assert (caught.value.sqlstate, caught.value.message) == ("P0001", "no")
    with pytest.raises(ZeroDivisionError):
        changed(lambda rows: 1 / 0)


def test_nothing_to_write_is_not_hooked() -> None:
    counting = Counting()
    hooks = hooks_of(Before(lambda rows: pytest.fail("nothing is written")), counting)
    nothing = Insert("things", ("id",), "[]", 0)
    assert hooks.before(nothing, ANN, TRANSACTION) is nothing
    hooks.after(nothing, [], 0, ANN, TRANSACTION)
    assert counting.counts == []

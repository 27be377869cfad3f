"""Compiled queries: what a plan holds, and the cache that keeps plans."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import msgspec

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import Compiled, Row
from kernel.contracts.queries import Select
from plugins.records.relationships import Relationships

Prepare = Callable[[Any], str]


_ALONE = 2
"""How many values a statement returns that counts nothing but what it answers with."""

_decode = msgspec.json.Decoder().decode


class Plan(msgspec.Struct, frozen=True):
    """One statement for all queries of a template.

    `prepare` holds the functions that values go through, by the parameter's name; `constants` are the parameters
    that the template itself decides. `check` reads the values as the types of their columns: an engine that does so
    only for the rows it looks at needs it to refuse a bad value where there are none. With `always`, it may not look
    at some value even where it finds rows: once one side of an ``or`` holds, the other is left alone. `first` is a
    call to be made before, whose rows the statement reads from the parameter ``rows``. `expected` asks the planner how
    many rows there are in all, as JSON. `sorting` puts rows in order by their keys, which the statement returns behind
    its first two values: given a JSON array of arrays of keys as the parameter ``rows``, it returns the rows' places.
    """

    statement: Compiled
    prepare: Mapping[str, Prepare] = {}
    constants: Mapping[str, str] = {}
    check: Compiled | None = None
    always: bool = False
    first: str | None = None
    expected: Compiled | None = None
    sorting: Compiled | None = None

    def check_for(self, count: int) -> Compiled | None:
        """Return the check to run after a statement that found or changed `count` rows, if it needs one."""
        return self.check if self.always or not count else None

    def explained(self, explaining: str) -> Compiled:
        """Return the statement behind what has it explained."""
        return Compiled(f"{explaining} {self.statement.sql}", self.statement.role)

    def total(self, query: Select, row: Row, run: Callable[[Compiled], list[Row]]) -> int | None:
        """Return how many rows there are in all; `row` is what the statement returned, `run` asks the planner."""
        if not query.counted:
            return None
        above = None if query.planned is None else query.planned.above
        if self.expected is None or (above is not None and row[2] <= above):
            return int(row[-1] if len(row) > _ALONE else row[0])
        planned = int(_decode(run(self.expected)[0][0])[0]["Plan"]["Plan Rows"])
        return max(planned, query.offset + int(row[0]), 0 if above is None else int(row[2]))

    def params(self, values: list[Any]) -> dict[str, Any]:
        """Return the parameters for one query's values."""
        params: dict[str, Any] = dict(self.constants)
        for place, value in enumerate(values):
            params[f"v{place}"] = value
        for name, prepare in self.prepare.items():
            params[name] = prepare(params[name])
        return params


class PlanCache:
    """The plans made against one catalogue; the least recently used goes when there are more than `size`.

    `relationships` are those of the catalogue.
    """

    LARGEST = 200

    def __init__(self, catalogue: Catalogue, size: int) -> None:
        self.catalogue = catalogue
        self.relationships = Relationships(catalogue)
        self._size = size
        self._plans: OrderedDict[Hashable, Plan] = OrderedDict()

    def get(self, key: Hashable) -> Plan | None:
        """Return the plan of that key, if there is one."""
        plan = self._plans.get(key)
        if plan is not None:
            try:
                self._plans.move_to_end(key)
            except KeyError:  # another thread has just evicted it; the plan is as good as before
                return plan
        return plan

    def put(self, key: Hashable, plan: Plan) -> None:
        """Keep a plan."""
        self._plans[key] = plan
        while len(self._plans) > self._size:
            self._plans.popitem(last=False)

    def __len__(self) -> int:
        return len(self._plans)


class Plans:
    """The plans of a process: `size` at most, of the catalogue as it is now."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._current: PlanCache | None = None

    def of(self, catalogue: Catalogue) -> PlanCache:
        """Return the plans made against a catalogue; those of an earlier one are gone."""
        current = self._current
        if current is None or current.catalogue is not catalogue:
            current = self._current = PlanCache(catalogue, self._size)
        return current

"""Compiled query shapes: what a plan holds, the cache that keeps plans, and a query's shape."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import msgspec

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import Compiled
from kernel.contracts.queries import Comparison, Condition, Is, Membership, Search
from kernel.contracts.records import Unsupported

MAX_DEPTH = 100
"""How deep conditions may nest."""

MAX_VALUES = 20_000
"""How many conditions a query may have: each binds one parameter, and engines limit them (SQLite 32,766)."""

Prepare = Callable[[Any], str]


class Plan(msgspec.Struct, frozen=True):
    """One statement for all queries of a shape.

    `slots` name the parameters of a query's values, in the order in which `shape_of` finds them, each with
    the function that prepares a value or None; `constants` are the parameters that the shape itself decides.
    `check` reads the values as the types of their columns: an engine that does so only for the rows it looks at
    needs it to refuse a bad value where there are none. With `always`, it may not look at some value even where
    it finds rows: once one side of an ``or`` holds, the other is left alone.
    """

    statement: Compiled
    slots: tuple[tuple[str, Prepare | None], ...] = ()
    constants: Mapping[str, str] = {}
    check: Compiled | None = None
    always: bool = False

    def check_for(self, count: int) -> Compiled | None:
        """Return the check to run after a statement that found or changed `count` rows, if it needs one."""
        return self.check if self.always or not count else None

    def params(self, values: list[Any]) -> dict[str, Any]:
        """Return the parameters for one query's values."""
        params: dict[str, Any] = dict(self.constants)
        for (name, prepare), value in zip(self.slots, values, strict=True):
            params[name] = value if prepare is None else prepare(value)
        return params


class PlanCache:
    """The plans made against one catalogue; the least recently used goes when there are more than `size`."""

    _LARGEST = 200

    def __init__(self, catalogue: Catalogue, size: int) -> None:
        self.catalogue = catalogue
        self._size = size
        self._plans: OrderedDict[Hashable, Plan] = OrderedDict()

    def get(self, key: Hashable) -> Plan | None:
        """Return the plan for a shape, if there is one."""
        plan = self._plans.get(key)
        if plan is not None:
            try:
                self._plans.move_to_end(key)
            except KeyError:  # another thread has just evicted it; the plan is as good as before
                return plan
        return plan

    def put(self, key: Hashable, plan: Plan) -> None:
        """Keep a plan, unless its shape is so large that hardly another query will have it."""
        if len(plan.slots) > self._LARGEST:
            return
        self._plans[key] = plan
        while len(self._plans) > self._size:
            self._plans.popitem(last=False)

    def __len__(self) -> int:
        return len(self._plans)


def shape_of(conditions: tuple[Condition, ...], values: list[Any]) -> tuple[Hashable, ...]:
    """Return what tells these conditions from others but for their values, and append the values to `values`.

    Raises `Unsupported` where there are too many conditions or they nest too deeply.
    """
    shape = _shape(conditions, values, 0)
    if len(values) > MAX_VALUES:
        raise Unsupported(f"A query has at most {MAX_VALUES} conditions.")
    return shape


def _shape(conditions: tuple[Condition, ...], values: list[Any], depth: int) -> tuple[Hashable, ...]:
    if depth > MAX_DEPTH:
        raise Unsupported(f"Conditions nest at most {MAX_DEPTH} deep.")
    shape: list[Hashable] = []
    for condition in conditions:
        if isinstance(condition, Comparison):
            values.append(condition.value)
            shape.append((condition.field, condition.operator, condition.negated, condition.quantifier))
        elif isinstance(condition, Membership):
            values.append(condition.values)
            shape.append((condition.field, "in", condition.negated))
        elif isinstance(condition, Is | Search):
            shape.append(condition)
        else:
            inner = _shape(condition.conditions, values, depth + 1)
            shape.append((condition.operator, condition.negated, inner))
    return tuple(shape)

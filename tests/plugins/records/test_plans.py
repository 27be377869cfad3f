"""The cache of plans."""

from __future__ import annotations

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import Compiled
from plugins.records.plans import Plan, PlanCache


def plan() -> Plan:
    return Plan(Compiled("select 1"))


def test_the_cache_forgets_what_was_not_used_for_longest() -> None:
    cache = PlanCache(Catalogue(1, {}), 2)
    cache.put("a", plan())
    cache.put("b", plan())
    assert cache.get("a") is not None
    cache.put("c", plan())
    assert (cache.get("b"), len(cache)) == (None, 2)
    assert cache.get("a") is not None

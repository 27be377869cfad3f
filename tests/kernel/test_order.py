from __future__ import annotations

from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import Plugin
from kernel.discovery import order
from kernel.errors import OrderError
from kernel.plugin import PluginRecord


class Cache(Protocol):
    """A contract."""


class Store(Protocol):
    """Another contract."""


def record(
    name: str,
    *,
    provides: tuple[type, ...] = (),
    requires: tuple[type, ...] = (),
    uses: tuple[type, ...] = (),
) -> PluginRecord:
    members = {"name": name, "provides": provides, "requires": requires, "uses": uses}
    return PluginRecord(type(f"{name.title()}Plugin", (Plugin,), members), "given")


def names(records: list[PluginRecord]) -> list[str]:
    return [each.name for each in records]


def test_providers_come_before_those_who_require_or_use_them() -> None:
    records = [
        record("web", requires=(Cache,), uses=(Store,)),
        record("redis", provides=(Cache,), requires=(Store,)),
        record("disk", provides=(Store,)),
    ]
    assert names(order(records, {})) == ["disk", "redis", "web"]


def test_without_needs_the_given_order_stays() -> None:
    assert names(order([record("b"), record("c"), record("a")], {})) == ["b", "c", "a"]


def test_what_is_only_used_may_be_absent() -> None:
    assert names(order([record("web", uses=(Cache,))], {})) == ["web"]


def test_a_plugin_may_require_what_it_provides_itself() -> None:
    assert names(order([record("redis", provides=(Cache,), requires=(Cache,))], {})) == ["redis"]


def test_a_missing_provider_is_named_with_a_way_out() -> None:
    with pytest.raises(
        OrderError, match="plugin 'web' requires Cache, which nothing enabled provides"
    ) as raised:
        order([record("web", requires=(Cache,))], {})
    assert "kernel plugins disable web" in str(raised.value)


def test_a_circle_names_every_plugin_in_it() -> None:
    records = [
        record("first"),
        record("one", provides=(Cache,), requires=(Store,)),
        record("two", provides=(Store,), requires=(Cache,)),
    ]
    with pytest.raises(OrderError, match=r"circle: one -> two -> one; .*kernel plugins disable one"):
        order(records, {})


def test_two_providers_need_a_choice_and_the_line_that_makes_it_is_shown() -> None:
    records = [record("redis", provides=(Cache,)), record("memory", provides=(Cache,))]
    with pytest.raises(OrderError, match="'redis' and 'memory' both provide Cache") as raised:
        order(records, {})
    assert '[provide] Cache = "redis"' in str(raised.value)


def test_the_choice_decides_who_comes_first() -> None:
    records = [
        record("web", requires=(Cache,)),
        record("redis", provides=(Cache,)),
        record("memory", provides=(Cache,)),
    ]
    assert names(order(records, {"Cache": "memory"})) == ["memory", "web", "redis"]


@pytest.mark.parametrize(
    ("provide", "message"),
    [
        ({"Cash": "redis"}, r"Cash = \"redis\": no enabled plugin provides Cash; did you mean 'Cache'\?"),
        ({"Cache": "redit"}, r"Cache = \"redit\": that plugin does not provide it; choose one of: redis"),
        ({"Cache": "web"}, r"Cache = \"web\": that plugin does not provide it; choose one of: redis"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(provide: dict[str, str], message: str) -> None:
    with pytest.raises(OrderError, match=message):
        order([record("redis", provides=(Cache,)), record("web")], provide)


@given(st.lists(st.lists(st.integers(0, 30), max_size=4), min_size=1, max_size=8), st.randoms())
def test_every_order_without_a_circle_satisfies_every_need(needs: list[list[int]], shuffle: object) -> None:
    contracts = [type(f"Contract{number}", (), {}) for number in range(len(needs))]
    records = [
        # Plugin n requires only of those before it, so that there is no circle.
        record(f"p{n}", provides=(contracts[n],), requires=tuple({contracts[i % n] for i in wanted if n}))
        for n, wanted in enumerate(needs)
    ]
    shuffled = sorted(records, key=lambda _: shuffle.random())  # type: ignore[attr-defined]
    place = {each.name: index for index, each in enumerate(order(shuffled, {}))}
    assert len(place) == len(records)
    for each in records:
        for contract in each.cls.requires:
            assert place[f"p{contracts.index(contract)}"] < place[each.name]

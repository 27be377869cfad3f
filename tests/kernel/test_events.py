from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import BeforeEvent, Event, Veto
from kernel.errors import EventError
from kernel.events import EventBus
from kernel.testing.sources import CountedIds


class Ordered(Event, frozen=True):
    name = "shop.item.ordered"
    item: str = "tea"


class Paid(Event, frozen=True):
    name = "shop.bill.paid"


class Leaving(BeforeEvent, frozen=True):
    name = "shop.guest.leaving"


class Mailed(Event, frozen=True):
    name = "mail.letter.sent"


EVENTS: list[type[Event]] = [Ordered, Paid, Leaving]


@pytest.fixture
def bus() -> EventBus:
    bus = EventBus(CountedIds())
    bus.declare("shop", EVENTS)
    bus.declare("mail", [Mailed])
    return bus


def test_listeners_hear_what_they_asked_for_in_the_order_of_subscribing(bus: EventBus) -> None:
    heard: list[str] = []
    bus.subscribe("shop.*", lambda event: heard.append(f"all {event.name}"))
    bus.subscribe(Ordered, lambda event: heard.append(f"class {event.item}"))
    bus.subscribe("shop.item.ordered", lambda event: heard.append("name"))
    for event in (Ordered("milk"), Paid(), Mailed()):
        bus.publish(event)
    assert heard == ["all shop.item.ordered", "class milk", "name", "all shop.bill.paid"]


def test_subscribe_returns_its_undo_which_may_be_called_twice(bus: EventBus) -> None:
    heard: list[Any] = []
    undo = bus.subscribe(Paid, heard.append)
    undo()
    undo()
    bus.publish(Paid())
    assert heard == []


def test_undoing_one_of_two_equal_subscriptions_leaves_the_other(bus: EventBus) -> None:
    heard: list[Any] = []
    undo = bus.subscribe(Paid, heard.append)
    bus.subscribe(Paid, heard.append)
    undo()
    undo()
    bus.publish(Paid())
    assert heard == [Paid()]


def test_a_failing_listener_is_logged_and_counted_and_stops_nobody(
    bus: EventBus, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []
    bus.subscribe(Paid, lambda event: 1 / 0, owner="broken")
    bus.subscribe(Paid, heard.append)
    with caplog.at_level(logging.ERROR):
        bus.publish(Paid())
        bus.publish(Paid())
    assert heard == [Paid(), Paid()]
    assert bus.failures == {"broken": 2}
    record = caplog.records[0]
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
    assert vars(record)["listener"] == "broken"
    assert vars(record)["error_id"] == f"{1:032x}"


def test_only_a_veto_in_a_before_event_stops_the_publisher_and_later_listeners(bus: EventBus) -> None:
    def veto(event: Event) -> None:
        raise Veto("not yet")

    heard: list[Any] = []
    bus.subscribe("shop.*", veto, owner="vetoing")
    bus.subscribe("shop.*", heard.append)
    with pytest.raises(Veto, match="not yet") as raised:
        bus.publish(Leaving())
    assert raised.value.reason == "not yet"
    assert heard == []
    bus.publish(Paid())
    assert heard == [Paid()]
    assert bus.failures == {"vetoing": 1}


def test_an_ordinary_exception_in_a_before_event_stops_nobody(bus: EventBus) -> None:
    heard: list[Any] = []
    bus.subscribe(Leaving, lambda event: 1 / 0)
    bus.subscribe(Leaving, heard.append)
    bus.publish(Leaving())
    assert heard == [Leaving()]


def test_a_listener_that_ends_the_process_is_not_swallowed(bus: EventBus) -> None:
    def leave(event: Event) -> None:
        raise KeyboardInterrupt

    bus.subscribe(Paid, leave)
    with pytest.raises(KeyboardInterrupt):
        bus.publish(Paid())


def test_publishing_what_nobody_declares_is_an_error() -> None:
    with pytest.raises(EventError, match="Paid was published but no plugin declares it"):
        EventBus(CountedIds()).publish(Paid())


@pytest.mark.parametrize(
    "name", ["", "shop", "shop.paid", "Shop.Bill.Paid", "shop.bill.paid.now", "shop.bill.*"]
)
def test_a_badly_formed_name_is_refused(name: str) -> None:
    event = type("Wrong", (Event,), {"name": name}, frozen=True)
    with pytest.raises(EventError, match=r"'shop' declares the event Wrong with the name .* three parts"):
        EventBus(CountedIds()).declare("shop", [event])


def test_an_event_belongs_to_its_owner() -> None:
    with pytest.raises(
        EventError, match=r"'mail' declares .*'shop\.bill\.paid'; its first part must be 'mail'"
    ):
        EventBus(CountedIds()).declare("mail", [Paid])


def test_one_name_cannot_mean_two_events(bus: EventBus) -> None:
    other = type("Paid", (Event,), {"name": Paid.name}, frozen=True)
    with pytest.raises(EventError, match=r"'shop\.bill\.paid' is declared twice, now by plugin 'shop'"):
        bus.declare("shop", [other])
    bus.declare("shop", [Paid])


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [("shop.item.orderd", r"; did you mean 'shop\.item\.ordered'\?"), ("nobody.*", ""), ("sop.*", "")],
)
def test_a_subscription_to_nothing_is_refused_when_the_bus_closes(
    bus: EventBus, pattern: str, hint: str
) -> None:
    bus.subscribe(pattern, print, owner="listener")
    with pytest.raises(EventError, match=f"'listener' subscribes to .*no enabled plugin declares{hint}"):
        bus.freeze()


def test_subscriptions_close_with_the_bus_and_undoing_stays_possible(bus: EventBus) -> None:
    heard: list[Any] = []
    undo = bus.subscribe(Paid, heard.append)
    bus.freeze()
    with pytest.raises(EventError, match="subscriptions close when the kernel is ready"):
        bus.subscribe(Paid, heard.append)
    undo()
    bus.publish(Paid())
    assert heard == []


PATTERNS = [*(event.name for event in EVENTS), Mailed.name, "shop.*", "mail.*"]
STEPS = st.one_of(
    st.tuples(st.just("subscribe"), st.integers(0, len(PATTERNS) - 1)),
    st.tuples(st.just("undo"), st.integers(0, 20)),
    st.tuples(st.just("publish"), st.integers(0, len(EVENTS) - 1)),
)


@given(st.lists(STEPS, max_size=40))
def test_the_bus_behaves_like_a_list_of_listeners(steps: list[tuple[str, int]]) -> None:
    bus = EventBus(CountedIds())
    bus.declare("shop", EVENTS)
    bus.declare("mail", [Mailed])
    heard: list[tuple[int, str]] = []
    model: dict[int, str] = {}
    undos: list[Any] = []
    expected: list[tuple[int, str]] = []
    for action, number in steps:
        if action == "subscribe":
            key = len(undos)
            undos.append(
                bus.subscribe(PATTERNS[number], lambda event, key=key: heard.append((key, event.name)))
            )
            model[key] = PATTERNS[number]
        elif action == "undo" and number < len(undos):
            undos[number]()
            model.pop(number, None)
        elif action == "publish":
            event = EVENTS[number]()
            bus.publish(event)
            owner = event.name.split(".")[0]
            expected += [
                (key, event.name) for key, want in model.items() if want in (event.name, f"{owner}.*")
            ]
    assert heard == expected

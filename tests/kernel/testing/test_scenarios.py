from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from kernel import BeforeEvent, Event, HTTPError, Plugin, Request, Route, Veto, hookimpl
from kernel.testing import HookCall, KernelUnderTest, Scenario


class Sold(Event, frozen=True):
    name = "shop.item.sold"
    item: str


class Selling(BeforeEvent, frozen=True):
    name = "shop.item.selling"


class Item(msgspec.Struct):
    name: str


class ShopPlugin(Plugin):
    name = "shop"
    events = (Sold, Selling)

    @hookimpl
    def kernel_start(self) -> None:
        self.kernel.events.subscribe(Selling, self.refuse)

    @hookimpl
    def kernel_before_request(self, request: Request) -> None:
        """Look on."""

    @hookimpl
    def kernel_routes(self) -> Iterable[Route]:
        yield Route("POST", "/sell", self.sell)
        yield Route("GET", "/veto", self.veto)

    def sell(self, request: Request, body: Item) -> Item:
        self.kernel.events.publish(Sold(body.name))
        return body

    def veto(self, request: Request) -> None:
        try:
            self.kernel.events.publish(Selling())
        except Veto as veto:
            raise HTTPError(409, veto.reason) from veto

    def refuse(self, event: Selling) -> None:
        raise Veto("closed")


@pytest.fixture
def kernel_options() -> dict[str, Any]:
    return {"plugins": [ShopPlugin]}


SALE: dict[str, Any] = {"name": "sale", "method": "POST", "path": "/sell", "body": {"name": "tea"}}


@pytest.mark.parametrize(
    "expected",
    [
        {},
        {"expect_json": {"name": "tea"}},
        {"expect_text": '"tea"'},
        {"expect_text": ("name", "tea")},
        {"expect_headers": {"content-type": "application/json", "etag": None}},
        {"expect_events": {"shop.item.sold"}},
        {"expect_events": {"shop.item.sold": 1}},
        {"body": '{"name": "tea"}', "expect_json": {"name": "tea"}},
    ],
)
def test_a_scenario_passes_where_all_is_as_expected(
    kernel: KernelUnderTest, expected: dict[str, Any]
) -> None:
    assert Scenario(**{**SALE, **expected}).run(kernel).status == 200


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"expect_status": 201}, "answered 200 OK, not 201"),
        ({"expect_json": {"name": "milk"}}, "expected {'name': 'milk'}, answered {'name': 'tea'}"),
        ({"expect_text": "milk"}, "'milk' is not in"),
        ({"expect_text": ("tea", "milk")}, "'milk' is not in"),
        ({"expect_headers": {"content-type": None}}, "header content-type: expected None"),
        ({"expect_headers": {"etag": "x"}}, "header etag: expected 'x', answered None"),
        ({"expect_events": "none"}, "no event was expected, but these were published"),
        ({"expect_events": {"shop.item.sold": 2}}, "published {'shop.item.sold': 1}"),
        ({"expect_events": {"shop.item.selling"}}, "published {'shop.item.sold'}"),
        ({"expect_events": set()}, "published {'shop.item.sold'}"),
    ],
)
def test_a_scenario_fails_where_anything_differs(
    kernel: KernelUnderTest, expected: dict[str, Any], message: str
) -> None:
    with pytest.raises(AssertionError) as raised:
        Scenario(**{**SALE, **expected}).run(kernel)
    assert message in str(raised.value)


def test_a_vetoed_event_is_recorded_too(kernel: KernelUnderTest) -> None:
    veto = Scenario(name="veto", path="/veto", expect_status=409, expect_events={"shop.item.selling": 1})
    veto.run(kernel)


def test_hook_calls_are_recorded_with_their_arguments_in_order(kernel: KernelUnderTest) -> None:
    recorder = kernel.recorder
    assert [str(call) for call in recorder.calls] == ["shop.kernel_start", "shop.kernel_routes"]
    recorder.clear()
    reply = kernel.client.post("/sell", json={"name": "tea"})
    assert recorder.calls == [HookCall("shop", "kernel_before_request", (reply.request,))]
    assert recorder.of("shop.item.sold") == recorder.of(Sold) == recorder.events == [Sold("tea")]

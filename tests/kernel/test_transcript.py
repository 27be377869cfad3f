"""One life with every hook in it, from the first to the last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import click
import pytest

from kernel import (
    BeforeEvent,
    Event,
    HTTPError,
    Identity,
    Kernel,
    Plugin,
    Request,
    Response,
    Route,
    Veto,
    hookimpl,
    hookspec,
)
from kernel.config import Config
from kernel.hookspecs import KernelHooks
from kernel.testing import Client

TRANSCRIPT: list[str] = []


class Ledger(Protocol):
    """What the ground plugin provides."""


class Sold(Event, frozen=True):
    name = "roof.item.sold"
    item: str


class Selling(BeforeEvent, frozen=True):
    name = "roof.item.selling"
    item: str


class RoofHooks:
    """A hook of the roof plugin's own."""

    @hookspec
    def roof_price(self, item: str) -> int:  # type: ignore[empty-body]
        """Return what an item costs."""


class Recording(Plugin):
    """Implements every hook of the kernel and notes each call."""

    def __init__(self, kernel: Kernel, settings: Any) -> None:
        super().__init__(kernel, settings)
        self.note("configure")

    def note(self, *what: object) -> None:
        TRANSCRIPT.append(" ".join([self.name, *map(str, what)]))

    @hookimpl
    def kernel_services(self) -> Mapping[type, Any]:
        self.note("services")
        return dict.fromkeys(self.provides, self)

    @hookimpl
    def kernel_commands(self) -> Iterable[click.Command]:
        self.note("commands")
        yield click.Command(f"{self.name}-command")

    @hookimpl
    def kernel_prepare(self) -> None:
        self.note("prepare")

    @hookimpl
    def kernel_start(self) -> None:
        self.note("start", self.kernel.role)
        self.kernel.events.subscribe("roof.*", lambda event: self.note("hears", event), owner=self.name)

    @hookimpl
    def kernel_routes(self) -> Iterable[Route]:
        self.note("routes")
        return ()

    @hookimpl
    def kernel_backup(self) -> Iterable[Path]:
        self.note("backup")
        return [Path(self.name)]

    @hookimpl
    def kernel_starter_files(self) -> Mapping[str, str]:
        self.note("starter_files")
        return {self.name: "text"}

    @hookimpl
    def kernel_ready(self) -> None:
        self.note("ready")

    @hookimpl
    def kernel_greeting(self, url: str) -> Mapping[str, Iterable[str]]:
        self.note("greeting", url)
        return {"Try": [self.name]}

    @hookimpl
    def kernel_identify(self, request: Request) -> Identity | None:
        self.note("identify", request.path)
        return None

    @hookimpl
    def kernel_before_request(self, request: Request) -> Response | None:
        self.note("before", request.identity and request.identity.role)
        return None

    @hookimpl
    def kernel_after_request(self, request: Request, response: Response) -> None:
        self.note("after", response.status)

    @hookimpl
    def kernel_request_done(self, request: Request, response: Response, seconds: float) -> None:
        self.note("done", response.status)

    @hookimpl
    def kernel_health(self) -> Mapping[str, str | None]:
        self.note("health")
        return {}

    @hookimpl
    def kernel_stop(self) -> None:
        self.note("stop")


class RoofPlugin(Recording):
    name = "roof"
    requires = (Ledger,)
    events = (Sold, Selling)
    hookspecs = (RoofHooks,)

    @hookimpl
    def kernel_routes(self) -> Iterable[Route]:
        self.note("routes")
        yield Route("POST", "/sell/{item}", self.sell)

    def sell(self, request: Request, item: str) -> list[int]:
        self.note("handles", item)
        try:
            self.kernel.events.publish(Selling(item))
        except Veto as veto:
            raise HTTPError(409, veto.reason) from veto
        if item == "nothing":
            raise LookupError(item)
        self.kernel.events.publish(Sold(item))
        return self.kernel.hooks.roof_price(item=item)  # type: ignore[no-any-return]

    @hookimpl
    def kernel_identify(self, request: Request) -> Identity | None:
        self.note("identify", request.path)
        return Identity("keeper")

    @hookimpl
    def kernel_stop(self) -> None:
        super().kernel_stop()
        raise RuntimeError("the roof is stuck")


class GroundPlugin(Recording):
    name = "ground"
    provides = (Ledger,)

    @hookimpl
    def kernel_start(self) -> None:
        super().kernel_start()
        self.kernel.events.subscribe(Selling, self.refuse)

    def refuse(self, event: Selling) -> None:
        if event.item == "house":
            raise Veto("not the house")

    @hookimpl
    def roof_price(self, item: str) -> int:
        self.note("prices", item)
        return len(item)


def since(start: int) -> list[str]:
    return TRANSCRIPT[start:]


def test_a_whole_life_in_order(tmp_path: Any) -> None:
    TRANSCRIPT.clear()
    kernel = Kernel(Config(project=tmp_path), plugins=[RoofPlugin, GroundPlugin], role="test")
    kernel.start()
    assert since(0) == [
        "ground configure",
        "roof configure",
        "ground services",
        "roof services",
        "ground prepare",
        "roof prepare",
        "ground start test",
        "roof start test",
        "ground routes",
        "roof routes",
        "ground ready",
        "roof ready",
    ]

    client, mark = Client(kernel), len(TRANSCRIPT)
    assert client.post("/sell/tea").expect(200).json() == [3]
    around = ["ground identify {}", "roof identify {}", "ground before keeper", "roof before keeper"]
    assert since(mark) == [
        *(line.format("/sell/tea") for line in around),
        "roof handles tea",
        "ground hears Selling(item='tea')",
        "roof hears Selling(item='tea')",
        "ground hears Sold(item='tea')",
        "roof hears Sold(item='tea')",
        "ground prices tea",
        "ground after 200",
        "roof after 200",
        "ground done 200",
        "roof done 200",
    ]

    mark = len(TRANSCRIPT)
    client.post("/sell/house").expect(409)
    assert since(mark) == [
        *(line.format("/sell/house") for line in around),
        "roof handles house",
        "ground hears Selling(item='house')",
        "ground after 409",
        "roof after 409",
        "ground done 409",
        "roof done 409",
    ]

    mark = len(TRANSCRIPT)
    client.post("/sell/nothing").expect(500)
    assert since(mark)[-6:] == [
        "ground hears Selling(item='nothing')",
        "roof hears Selling(item='nothing')",
        "ground after 500",
        "roof after 500",
        "ground done 500",
        "roof done 500",
    ]

    mark = len(TRANSCRIPT)
    client.get("/readyz").expect(200)
    client.get("/nowhere").expect(404)
    health = ["ground health", "roof health"]
    finished = ["ground after {0}", "roof after {0}", "ground done {0}", "roof done {0}"]
    assert since(mark) == [
        *health,
        *(line.format(200) for line in finished),
        *(line.format(404) for line in finished),
    ]

    mark = len(TRANSCRIPT)
    assert [(owner, command.name) for owner, command in kernel.commands()] == [
        ("ground", "ground-command"),
        ("roof", "roof-command"),
    ]
    assert since(mark) == ["ground commands", "roof commands"]

    mark = len(TRANSCRIPT)
    assert kernel.hooks.kernel_backup() == [[Path("ground")], [Path("roof")]]
    assert since(mark) == ["ground backup", "roof backup"]

    mark = len(TRANSCRIPT)
    assert kernel.hooks.kernel_starter_files() == [{"ground": "text"}, {"roof": "text"}]
    assert kernel.hooks.kernel_greeting(url="http://here") == [{"Try": ["ground"]}, {"Try": ["roof"]}]
    assert since(mark) == [
        "ground starter_files",
        "roof starter_files",
        "ground greeting http://here",
        "roof greeting http://here",
    ]

    mark = len(TRANSCRIPT)
    with pytest.raises(
        Exception, match="plugin 'roof' failed in kernel_stop: RuntimeError: the roof is stuck"
    ):
        kernel.stop()
    kernel.stop()
    assert since(mark) == ["roof stop", "ground stop"]
    assert [record.status for record in kernel.records] == ["stopped", "failed"]
    heard = {line.split()[1] for line in TRANSCRIPT}
    named = {"before_request": "before", "after_request": "after", "request_done": "done"}
    hooks = {name.removeprefix("kernel_") for name in vars(KernelHooks) if name.startswith("kernel_")}
    assert {named.get(hook, hook) for hook in hooks} <= heard

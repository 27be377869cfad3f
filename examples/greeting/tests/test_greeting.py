"""The plugin in a kernel of its own, asked as a client would ask."""

from __future__ import annotations

from typing import Any

import pytest
from kernel_greeting import GreetingPlugin

from kernel import Plugin, hookimpl
from kernel.errors import ConfigError
from kernel.testing import Scenario, scenarios


class ShoutPlugin(Plugin):
    """Someone else's plugin: implements the hook by its name."""

    name = "shout"

    @hookimpl
    def greeting_decorate(self, name: str, message: str) -> str | None:
        return f"{message.upper()}!" if name == "Ada" else None


@pytest.fixture
def kernel_options() -> dict[str, Any]:
    return {"plugins": [GreetingPlugin]}


@scenarios(
    Scenario(
        name="greets by name",
        path="/greeting/v1/Ada",
        expect_json={"message": "Hello, Ada"},
        expect_headers={"content-language": "en"},
        expect_events={"greeting.greeting.sent": 1},
    ),
    Scenario(
        name="takes any text for a name",
        path="/greeting/v1/Zo%C3%AB%20K.",
        expect_json={"message": "Hello, Zoë K."},
    ),
    Scenario(
        name="only its own answers have a language",
        path="/healthz",
        expect_headers={"content-language": None},
        expect_events="none",
    ),
    Scenario(
        name="is only asked, not told",
        method="POST",
        path="/greeting/v1/Ada",
        expect_status=405,
        expect_headers={"content-language": None},
        expect_events="none",
    ),
)
def test_scenario(kernel: Any, scenario: Scenario) -> None:
    scenario.run(kernel)


def test_counts_who_was_greeted_how_often(kernel_client: Any) -> None:
    for name in ("Ada", "Grace", "Grace"):
        kernel_client.get(f"/greeting/v1/{name}").expect(200)
    assert kernel_client.get("/greeting/v1").json() == {"Grace": 2, "Ada": 1}


def test_the_salutation_and_its_language_are_settings(make_kernel: Any) -> None:
    settings = {"greeting": {"salutation": "Salut", "language": "fr"}}
    reply = make_kernel(plugins=[GreetingPlugin], settings=settings).client.get("/greeting/v1/Ada")
    assert reply.json() == {"message": "Salut, Ada"}
    assert reply.header("content-language") == "fr"


def test_a_setting_that_does_not_fit_stops_the_boot(make_kernel: Any) -> None:
    with pytest.raises(ConfigError, match=r"\[greeting\] language"):
        make_kernel(plugins=[GreetingPlugin], settings={"greeting": {"language": "English"}})


def test_other_plugins_decorate_greetings_and_the_event_tells_what_was_said(make_kernel: Any) -> None:
    kernel = make_kernel(plugins=[GreetingPlugin, ShoutPlugin])
    assert kernel.client.get("/greeting/v1/Ada").json() == {"message": "HELLO, ADA!"}
    assert kernel.client.get("/greeting/v1/Grace").json() == {"message": "Hello, Grace"}
    assert [event.message for event in kernel.recorder.of("greeting.greeting.sent")] == [
        "HELLO, ADA!",
        "Hello, Grace",
    ]

"""The same small route everywhere: a path value in, ``{"message": "Hello, Ada"}`` out.

Flask and Falcon are imported by name, so that types are checked without them too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

GREETING = b'{"message": "Hello, Ada"}'
LENGTH = str(len(GREETING))


def bare_wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The least that WSGI allows."""
    start_response("200 OK", [("content-type", "application/json"), ("content-length", LENGTH)])
    return [GREETING]


async def bare_rsgi(scope: Any, protocol: Any) -> None:
    """The least that RSGI allows."""
    protocol.response_bytes(200, [("content-type", "application/json")], GREETING)


def make_flask() -> Any:
    """Flask's route."""
    application = import_module("flask").Flask("hello")

    def hello(name: str) -> dict[str, str]:
        return {"message": f"Hello, {name}"}

    application.get("/hello/<name>")(hello)
    return application


def make_falcon() -> Any:
    """Falcon's route."""

    class Hello:
        def on_get(self, request: Any, response: Any, name: str) -> None:
            response.text = json.dumps({"message": f"Hello, {name}"})

    application = import_module("falcon").App()
    application.add_route("/hello/{name}", Hello())
    return application

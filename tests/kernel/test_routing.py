from __future__ import annotations

import inspect
import subprocess
import sys
import uuid
from functools import partial
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import HTTPError, Request, Route, WebSocket, WebSocketRoute
from kernel.errors import RouteError
from kernel.routing import Router

if TYPE_CHECKING:
    from decimal import Decimal


def plain(request: Request) -> str:
    return "plain"


def named(request: Request, name: str) -> str:
    return name


def router(*routes: Route | WebSocketRoute) -> Router:
    made = Router()
    for route in routes:
        made.add("shop", route)
    made.freeze()
    return made


def call(router: Router, method: str, path: str) -> Any:
    match = router.match(method, path)
    return match.route.invoke(Request(method, path, "", {}), match.values)


def test_fixed_paths_and_variables_lead_to_their_handlers() -> None:
    found = router(
        Route("GET", "/items", plain),
        Route("GET", "/items/{name}", named),
        Route("GET", "/items/special", lambda request: "fixed first"),
        Route("GET", "/n/{number:int}", lambda request, number: number),
        Route("GET", "/u/{key:uuid}", lambda request, key: key),
        Route("GET", "/files/{rest:path}/end", lambda request, rest: rest),
    )
    assert call(found, "GET", "/items") == "plain"
    assert call(found, "GET", "/items/a b") == "a b"
    assert call(found, "GET", "/items/special") == "fixed first"
    assert call(found, "GET", "/n/12") == 12
    one = uuid.uuid4()
    assert call(found, "GET", f"/u/{one}") == one
    assert call(found, "GET", "/files/a/b/c/end") == "a/b/c"


@pytest.mark.parametrize(
    "path",
    ["/", "/item", "/items/", "//items", "//items/a", "/items/a/b", "/n/x", "/n/-1", "/u/12", "/ITEMS", ""],
)
def test_what_leads_nowhere_is_404(path: str) -> None:
    found = router(
        Route("GET", "/items", plain),
        Route("GET", "/items/{name}", named),
        Route("GET", "/n/{number:int}", lambda request, number: number),
        Route("GET", "/u/{key:uuid}", lambda request, key: key),
    )
    with pytest.raises(HTTPError) as raised:
        found.match("GET", path)
    assert raised.value.status == 404


def test_another_method_is_405_with_what_is_allowed() -> None:
    found = router(
        Route("GET", "/items", plain), Route("POST", "/items", plain), Route("PUT", "/n/{name}", named)
    )
    for method, path, allow in [
        ("DELETE", "/items", "GET, HEAD, OPTIONS, POST"),
        ("GET", "/n/x", "OPTIONS, PUT"),
        ("HEAD", "/n/x", "OPTIONS, PUT"),
        ("BREW", "/items", "GET, HEAD, OPTIONS, POST"),
    ]:
        with pytest.raises(HTTPError) as raised:
            found.match(method, path)
        assert raised.value.status == 405
        assert raised.value.headers == [("allow", allow)]
    assert found.allowed("/items") == ["GET", "HEAD", "OPTIONS", "POST"]


def test_methods_of_one_path_may_name_its_variables_differently() -> None:
    found = router(
        Route("GET", "/items/{name}", named), Route("PUT", "/items/{item}", lambda request, item: item)
    )
    assert call(found, "GET", "/items/a") == call(found, "PUT", "/items/a") == "a"


def test_a_route_of_its_own_for_head_goes_before_get() -> None:
    found = router(Route("HEAD", "/items", lambda request: "head"), Route("GET", "/items", plain))
    assert call(found, "HEAD", "/items") == "head"


@pytest.mark.parametrize(("one", "other"), [("/a", "/a"), ("/a/{x}", "/a/{y}"), ("/a/{x:int}", "/a/{y:int}")])
def test_two_plugins_on_one_route_are_both_named(one: str, other: str) -> None:
    made = Router()
    made.add("shop", Route("GET", one, lambda request, x=None: x))
    made.add("shop", Route("POST", one, lambda request, x=None: x))
    with pytest.raises(
        RouteError,
        match=r"plugins 'shop' and 'market' both have the route <Route GET .*kernel plugins disable market",
    ):
        made.add("market", Route("GET", other, lambda request, y=None: y))


async def silent(socket: WebSocket) -> None:
    """Say nothing."""


@given(
    st.lists(
        st.text(st.sampled_from("<>/.:|[]()*+?\\^$-,='\" aé"), max_size=8)
        | st.builds(
            "{{{}{}}}".format,
            st.from_regex("[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True).filter(
                lambda name: not iskeyword(name)
            ),
            st.sampled_from(["", ":int", ":uuid", ":path"]),
        ),
        max_size=6,
    )
)
def test_every_path_that_a_boot_takes_can_be_looked_for(parts: list[str]) -> None:
    path = "/" + "".join(parts)
    names = [part.strip("{}").partition(":")[0] for part in parts if part.startswith("{")]
    made = Router()
    try:
        made.add("shop", Route("GET", path, _taking(names)))
    except RouteError:
        return
    made.freeze()
    made.warm_up()


def _taking(names: list[str]) -> Any:
    """Make a handler with these parameters."""

    def handler(request: Request, **values: Any) -> None: ...

    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in sorted(set(names))]
    request = inspect.Parameter("request", inspect.Parameter.POSITIONAL_ONLY)
    vars(handler)["__signature__"] = inspect.Signature([request, *parameters])
    return handler


def test_sockets_have_a_map_of_their_own() -> None:
    async def talk(socket: WebSocket, room: str) -> None:
        """Say nothing."""

    found = router(
        Route("GET", "/live", plain), WebSocketRoute("/live", silent), WebSocketRoute("/r/{room}", talk)
    )
    route, values = found.match_socket("/r/lobby")
    assert (route.owner, route.path, values) == ("shop", "/r/{room}", {"room": "lobby"})
    assert found.match_socket("/live")[0].path == "/live"
    with pytest.raises(HTTPError, match="nothing is served at /elsewhere"):
        found.match_socket("/elsewhere")
    with pytest.raises(HTTPError):
        router().match_socket("/live")
    with pytest.raises(RouteError, match="'shop' and 'other' both have the route <WebSocketRoute /live>"):
        found.add("other", WebSocketRoute("/live", silent))


@pytest.mark.parametrize(
    ("route", "message"),
    [
        (Route("GET", "/{name}", plain), "GET /{name}: plain takes no parameter 'name'"),
        (Route("GET", "/", named), "GET /: named wants a parameter that the path does not have: 'name'"),
        (Route("BREW", "/", plain), "unknown method; use one of GET, HEAD"),
        (Route("get", "/", plain), "unknown method"),
        (Route("GET", "items", plain), "a path begins with '/' and holds variables as {name} or"),
        (Route("GET", "/{name:float}", named), "a path begins with '/'"),
        (Route("GET", "/a?b", plain), "a path begins with '/'"),
        (Route("GET", "/<name>", plain), "a path begins with '/'"),
        (Route("GET", "/{name}/{name}", named), "a variable occurs twice"),
        (
            Route("GET", "/a", silent, inline=True),
            "an async handler runs on the loop anyway; drop inline=True",
        ),
        (WebSocketRoute("/a", plain), "websocket /a: the handler must be an async function"),
        (WebSocketRoute("/{room}", silent), "websocket /{room}: silent takes no parameter 'room'"),
    ],
)
def test_a_route_that_cannot_be_served_is_refused(route: Route | WebSocketRoute, message: str) -> None:
    with pytest.raises(RouteError) as raised:
        Router().add("shop", route)
    assert str(raised.value).startswith("plugin 'shop', ")
    assert message in str(raised.value)


def test_an_annotation_that_cannot_be_resolved_is_named() -> None:
    def pay(request: Request, body: Decimal) -> None:
        """Never called."""

    with pytest.raises(
        RouteError, match=r"the annotation 'Decimal' of .*pay cannot be resolved; import it at mod"
    ):
        Router().add("shop", Route("POST", "/pay", pay))


def test_a_handler_that_takes_no_request_is_refused() -> None:
    def nothing() -> None:
        """Never called."""

    with pytest.raises(RouteError, match="nothing takes no parameter; its first one is the request"):
        Router().add("shop", Route("GET", "/a", nothing))


def test_a_body_without_a_type_is_refused() -> None:
    with pytest.raises(
        RouteError, match=r"POST /a: annotate 'body' of .*lambda.* with a struct, bytes or Upload"
    ):
        Router().add("shop", Route("POST", "/a", lambda request, body: body))


def test_a_handler_that_is_not_a_function_is_refused() -> None:
    with pytest.raises(RouteError, match=r"functools.partial.* is neither a function nor a method"):
        Router().add("shop", Route("GET", "/{name}", partial(plain)))


def test_a_body_of_a_type_that_json_cannot_fill_is_refused_at_boot() -> None:
    class Odd:
        pass

    def take(request: Request, body: Odd) -> None:
        """Never called."""

    take.__annotations__["body"] = Odd | int | msgspec.Struct
    with pytest.raises(RouteError, match=r"POST /a: JSON cannot become the body of .*take: Type unions"):
        Router().add("shop", Route("POST", "/a", take))


IMPORTED_ELSEWHERE = """
import sys, threading
from kernel import Route
from kernel.routing import Router

class Stalling:  # stands in the way of a package that is half made
    def find_spec(self, name, path=None, target=None):
        if name == "werkzeug.test":
            half.set()
            go_on.wait(20)

half, go_on, found = threading.Event(), threading.Event(), []
sys.meta_path.insert(0, Stalling())
router = Router()
router.add("tests", Route("GET", "/things/{id}", lambda request, id: None))
router.freeze()
importing = threading.Thread(target=lambda: __import__("werkzeug"))
importing.start()
half.wait(20)
matching = threading.Thread(target=lambda: found.append(router.match("GET", "/things/5").values))
matching.start()
matching.join(0.5)
print("waits" if matching.is_alive() else f"did not wait: {found}")
go_on.set()
matching.join()
importing.join()
print(found)
"""


def test_a_match_waits_for_another_thread_that_is_importing_what_it_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED_ELSEWHERE], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("waits\n[{'id': '5'}]\n", "")


def test_a_path_that_is_asked_for_again_leads_to_the_same_match() -> None:
    found = router(Route("GET", "/a/{name}", named), Route("POST", "/a/{name}", named))
    first = found.match("GET", "/a/x")
    assert found.match("GET", "/a/x") is first
    assert found.match("POST", "/a/x").route.method == "POST"
    assert found.match("GET", "/a/y").values == {"name": "y"}
    assert found.match("GET", "/a/" + "x" * 200).values == {"name": "x" * 200}

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import (
    Deprecation,
    FileBody,
    HTTPError,
    Identity,
    Plugin,
    Problem,
    Request,
    Response,
    Route,
    Upload,
    hookimpl,
    nonblocking,
)
from kernel.http import NotInline, Unavailable
from kernel.testing import Client, KernelFactory, Scenario, scenarios
from kernel.testing.factory import KernelUnderTest
from kernel.testing.pytest_plugin import MakeKernel

MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"


class Order(msgspec.Struct):
    item: str
    count: int = 1


class ShopPlugin(Plugin):
    """Routes that answer and fail in every way."""

    name = "shop"

    @hookimpl
    def kernel_routes(self) -> Iterable[Route]:
        yield Route("GET", "/items", lambda request: ["tea"], inline=True)
        yield Route("POST", "/items", self.order)
        yield Route("PUT", "/items/{name}", lambda request, name: None)
        yield Route("POST", "/only", lambda request: None)
        yield Route("OPTIONS", "/asked", lambda request: "my own answer")
        yield Route("GET", "/asked", lambda request: None)
        yield Route("GET", "/tagged", lambda request: Response(b"tagged", headers={"etag": '"v1"'}))
        yield Route("GET", "/weak", lambda request: Response(b"weak", headers={"etag": 'W/"v1"'}))
        yield Route("GET", "/dated", lambda request: Response(b"dated", headers={"last-modified": MODIFIED}))
        yield Route("GET", "/missing-tagged", lambda request: Response(b"", 404, {"etag": '"v1"'}))
        yield Route("GET", "/file", lambda request: Response(FileBody(Path(__file__), 2, 12)))
        yield Route("GET", "/stream", lambda request: iter([b"a", b"b"]))
        yield Route("GET", "/teapot", self.teapot)
        yield Route("GET", "/broken", self.broken)
        yield Route("GET", "/broken-async", self.broken_async)
        yield Route("GET", "/not-inline", self.not_inline)
        yield Route("GET", "/unencodable", lambda request: object())
        yield Route("GET", "/who", lambda request: request.identity and request.identity.role)
        yield Route("GET", "/names", lambda request: [request.id, request.trace])
        yield Route("POST", "/small", self.length, max_body_bytes=4)
        yield Route("POST", "/upload", self.upload, max_body_bytes=1 << 21)
        yield Route(
            "GET",
            "/old",
            lambda request: "old",
            deprecated=Deprecation(
                datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), "/new"
            ),
        )
        yield Route("GET", "/older", self.broken, deprecated=Deprecation(datetime(2025, 1, 1, tzinfo=UTC)))

    def order(self, request: Request, body: Order) -> Response:
        return Response.json(body, 201)

    def length(self, request: Request, body: bytes) -> int:
        return len(body)

    def upload(self, request: Request, body: Upload) -> int:
        return len(body.file.read())

    def teapot(self, request: Request) -> None:
        raise HTTPError(418, "short and stout", title="Teapot", headers={"x-pot": "1"}, extensions={"tea": 1})

    def broken(self, request: Request) -> None:
        raise LookupError("the password is hunter2")

    async def broken_async(self, request: Request) -> None:
        raise LookupError("the password is hunter2")

    def not_inline(self, request: Request) -> None:
        raise NotInline


@pytest.fixture(scope="module")
def kernel(kernel_factory: KernelFactory) -> Iterable[KernelUnderTest]:
    with kernel_factory(plugins=[ShopPlugin]) as kernel:
        yield kernel


@pytest.fixture(scope="module")
def client(kernel: KernelUnderTest) -> Client:
    return kernel.client


FIRST = f"{1:032x}"


@scenarios(
    Scenario(
        name="a route",
        path="/items",
        expect_json=["tea"],
        expect_headers={"content-type": "application/json"},
    ),
    Scenario(
        name="nothing there", path="/nowhere", expect_status=404, expect_text="nothing is served at /nowhere"
    ),
    Scenario(
        name="wrong method",
        path="/items",
        method="DELETE",
        expect_status=405,
        expect_headers={"allow": "GET, HEAD, OPTIONS, POST"},
    ),
    Scenario(
        name="HEAD where only POST is",
        path="/only",
        method="HEAD",
        expect_status=405,
        expect_headers={"allow": "OPTIONS, POST"},
    ),
    Scenario(name="unknown method", path="/items", method="BREW", expect_status=405),
    Scenario(name="no content", path="/items/x", method="PUT", expect_status=204, expect_text=""),
    Scenario(
        name="OPTIONS",
        path="/items",
        method="OPTIONS",
        expect_status=204,
        expect_headers={"allow": "GET, HEAD, OPTIONS, POST", "access-control-allow-methods": None},
    ),
    Scenario(name="OPTIONS of its own", path="/asked", method="OPTIONS", expect_text="my own answer"),
    Scenario(
        name="OPTIONS of a kernel route",
        path="/healthz",
        method="OPTIONS",
        expect_status=204,
        expect_headers={"allow": "GET, HEAD, OPTIONS"},
    ),
    Scenario(name="OPTIONS of nothing", path="/nowhere", method="OPTIONS", expect_status=404),
    Scenario(
        name="preflight",
        path="/asked",
        method="OPTIONS",
        headers={
            "origin": "https://a.example",
            "access-control-request-method": "GET",
            "access-control-request-headers": "x-one, apikey",
        },
        expect_status=204,
        expect_headers={
            "access-control-allow-origin": "*",
            "access-control-allow-methods": "GET, HEAD, OPTIONS",
            "access-control-allow-headers": "x-one, apikey",
            "access-control-max-age": "86400",
        },
    ),
    Scenario(
        name="simple cross-origin",
        path="/items",
        headers={"origin": "https://a.example"},
        expect_headers={"access-control-allow-origin": "*", "access-control-expose-headers": "*"},
    ),
    Scenario(name="same origin", path="/items", expect_headers={"access-control-allow-origin": None}),
    Scenario(
        name="errors are shared too",
        path="/broken",
        headers={"origin": "https://a.example"},
        expect_status=500,
        expect_headers={"access-control-allow-origin": "*"},
    ),
    Scenario(
        name="a deprecated route",
        path="/old",
        expect_headers={
            "deprecation": "@1767225600",
            "sunset": "Fri, 01 Jan 2027 00:00:00 GMT",
            "link": '</new>; rel="successor-version"',
        },
    ),
    Scenario(
        name="a deprecated route that fails",
        path="/older",
        expect_status=500,
        expect_headers={"deprecation": "@1735689600", "sunset": None, "link": None},
    ),
    Scenario(
        name="problem details",
        path="/teapot",
        expect_status=418,
        expect_headers={"content-type": "application/problem+json", "x-pot": "1"},
        expect_text=('"title":"Teapot"', '"detail":"short and stout"', '"tea":1', '"error_id":"'),
    ),
    Scenario(name="NotInline from a route that is not", path="/not-inline", expect_status=500),
    Scenario(name="a result that JSON cannot hold", path="/unencodable", expect_status=500),
    Scenario(name="a typed body", path="/items", method="POST", body={"item": "x"}, expect_status=201),
    Scenario(
        name="a body with a member too many",
        path="/items",
        method="POST",
        body={"item": "x", "z": 1},
        expect_status=201,
    ),
    Scenario(
        name="malformed JSON",
        path="/items",
        method="POST",
        body='{"item": ',
        expect_status=400,
        expect_text="the body is not valid JSON",
    ),
    Scenario(name="no body", path="/items", method="POST", expect_status=400),
    Scenario(name="not UTF-8", path="/items", method="POST", body=b'{"item": "\xff"}', expect_status=400),
    Scenario(
        name="a lone surrogate", path="/items", method="POST", body=r'{"item": "\ud800"}', expect_status=400
    ),
    Scenario(name="deep JSON", path="/items", method="POST", body='{"z":' + "[" * 100_000, expect_status=400),
    Scenario(
        name="wrong type",
        path="/items",
        method="POST",
        body={"item": 3},
        expect_status=422,
        expect_text=("Expected `str`, got `int`", "$.item"),
    ),
    Scenario(
        name="missing member", path="/items", method="POST", body={}, expect_status=422, expect_text="`item`"
    ),
    Scenario(
        name="not JSON by its type",
        path="/items",
        method="POST",
        body="item=x",
        headers={"content-type": "application/x-www-form-urlencoded"},
        expect_status=415,
    ),
    Scenario(
        name="JSON by its suffix",
        path="/items",
        method="POST",
        body='{"item":"x"}',
        headers={"content-type": "Application/Vnd.Shop+JSON; charset=utf-8"},
        expect_status=201,
    ),
    Scenario(name="a body within the limit", path="/small", method="POST", body=b"1234", expect_json=4),
    Scenario(
        name="a body over the route's limit",
        path="/small",
        method="POST",
        body=b"12345",
        expect_status=413,
        expect_text="larger than the 4 bytes",
    ),
    Scenario(
        name="a body over the kernel's limit",
        path="/items",
        method="POST",
        body=b" " * 1_048_577,
        expect_status=413,
    ),
    Scenario(name="a route with a larger limit", path="/upload", method="POST", body=b" " * 1_048_577),
    Scenario(
        name="a length that is no number",
        path="/small",
        method="POST",
        headers={"content-length": "4x"},
        expect_status=400,
    ),
)
def test_a_request_gets_its_answer(scenario: Scenario, kernel: KernelUnderTest) -> None:
    scenario.run(kernel)


@pytest.mark.parametrize(
    "path",
    [
        "/a%00b",
        "/a%1fb",
        "/a%7Fb",
        "/%ff",
        "/a%5Cb",
        "/../etc",
        "/a/./b",
        "/a/..",
        "/.",
        "/%2e%2e/x",
        "x",
        "",
        "*",
    ],
)
def test_path_tricks_are_400(client: Client, path: str) -> None:
    reply = client.get(path).expect(400)
    assert reply.json()["title"] == "Bad Request"


def test_an_overlong_path_is_414(client: Client) -> None:
    client.get("/" + "a" * 8191).expect(404)
    client.get("/" + "a" * 8192).expect(414)


@pytest.mark.parametrize("path", ["/...", "/a.b", "/.hidden", "/a..b", "/..a"])
def test_dots_within_names_are_no_tricks(client: Client, path: str) -> None:
    client.get(path).expect(404)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/tagged", {"if-none-match": '"v1"'}, 304),
        ("/tagged", {"if-none-match": 'W/"v1"'}, 304),
        ("/tagged", {"if-none-match": '"v0", "v1"'}, 304),
        ("/tagged", {"if-none-match": "*"}, 304),
        ("/tagged", {"if-none-match": '"v2"'}, 200),
        ("/tagged", {"if-none-match": "v1"}, 200),
        ("/weak", {"if-none-match": '"v1"'}, 304),
        ("/weak", {"if-none-match": 'W/"v1"'}, 304),
        ("/items", {"if-none-match": '"v1"'}, 200),
        ("/items", {"if-none-match": "*"}, 200),
        ("/missing-tagged", {"if-none-match": '"v1"'}, 404),
        ("/dated", {"if-modified-since": MODIFIED}, 304),
        ("/dated", {"if-modified-since": "Sun, 06 Nov 1994 08:49:38 GMT"}, 304),
        ("/dated", {"if-modified-since": "Sun, 06 Nov 1994 08:49:36 GMT"}, 200),
        ("/dated", {"if-modified-since": "yesterday"}, 200),
        ("/dated", {"if-modified-since": "Sun, 06 Nov 1994 08:49:37"}, 200),
        ("/items", {"if-modified-since": MODIFIED}, 200),
        ("/dated", {"if-modified-since": MODIFIED, "if-none-match": '"v1"'}, 200),
    ],
)
def test_conditional_requests(client: Client, path: str, headers: dict[str, str], status: int) -> None:
    for method in ("GET", "HEAD"):
        reply = client.request(method, path, headers=headers).expect(status)
        assert status != 304 or reply.body == b""


def test_head_tells_the_length_where_it_is_known(client: Client) -> None:
    assert client.head("/items").header("content-length") == "7"
    assert client.head("/file").header("content-length") == "10"
    assert client.head("/stream").header("content-length") is None
    assert client.head("/stream").body == b""
    assert client.head("/broken").expect(500).body == b""


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("header", "trace"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", TRACE),
        (f"01-{TRACE}-00f067aa0ba902b7-01-more", TRACE),
        (f"ff-{TRACE}-00f067aa0ba902b7-01", None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE}-00f067aa0ba902b7-01-more", None),
        ("nonsense", None),
    ],
)
def test_a_traceparent_is_taken_or_ignored(client: Client, header: str, trace: str | None) -> None:
    assert client.get("/names", headers={"traceparent": header}).json()[1] == trace


@pytest.mark.parametrize(
    ("given", "taken"), [("abc-1.2_~", True), ("a" * 128, True), ("a" * 129, False), ("a b", False)]
)
def test_a_request_id_is_taken_where_it_is_harmless(client: Client, given: str, taken: bool) -> None:
    reply = client.get("/names", headers={"x-request-id": given})
    name = reply.json()[0]
    assert (name == given) is taken
    assert reply.header("x-request-id") == name


@pytest.mark.parametrize("path", ["/broken", "/broken-async", "/unencodable"])
def test_a_failure_tells_the_client_an_id_and_the_log_the_cause(
    client: Client, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    with caplog.at_level(logging.ERROR):
        reply = client.get(path).expect(500)
    assert "hunter2" not in reply.text
    assert (
        reply.json()["detail"] == "the server failed to answer; its log holds the cause under this error_id"
    )
    (record,) = caplog.records
    assert vars(record)["error_id"] == reply.json()["error_id"]
    assert vars(record)["request"] == reply.header("x-request-id")
    assert record.exc_info is not None


def test_a_clients_mistake_is_not_logged_as_ours(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        client.get("/teapot").expect(418)
    assert caplog.records == []


def make(make_kernel: MakeKernel, *plugins: type[Plugin], **settings: Any) -> Client:
    return make_kernel(plugins=[ShopPlugin, *plugins], settings=settings).client


def test_origins_may_be_limited(make_kernel: MakeKernel) -> None:
    client = make(make_kernel, kernel={"cors_origins": ["https://a.example"]})
    ours = client.get("/items", headers={"origin": "https://a.example"})
    assert ours.header("access-control-allow-origin") == "https://a.example"
    assert ours.header("vary") == "Origin"
    other = client.get("/items", headers={"origin": "https://b.example"}).expect(200)
    assert other.header("access-control-allow-origin") is None


def test_a_plugin_renders_the_errors_of_its_own_routes_only(make_kernel: MakeKernel) -> None:
    class QuirkyPlugin(Plugin):
        name = "quirky"

        @hookimpl
        def kernel_routes(self) -> Iterable[Route]:
            yield Route("GET", "/quirky/{number:int}", self.fail)
            yield Route("POST", "/quirky/typed", self.typed)

        def fail(self, request: Request, number: int) -> None:
            raise HTTPError(number, "oh", headers={"retry-after": "3"}) if number < 500 else KeyError("oh")

        def typed(self, request: Request, body: Order) -> None:
            """Never called."""

        def format_error(self, request: Request, problem: Problem, error: Exception) -> Response | None:
            if problem.status == 410:
                return None
            if problem.status == 409:
                raise ZeroDivisionError
            return Response.json({"code": problem.status, "kind": type(error).__name__}, problem.status)

    client = make(make_kernel, QuirkyPlugin)
    quirky = client.get("/quirky/404").expect(404)
    assert quirky.json() == {"code": 404, "kind": "HTTPError"}
    assert quirky.header("retry-after") == "3"
    assert client.get("/quirky/500").expect(500).json() == {"code": 500, "kind": "KeyError"}
    assert client.post("/quirky/typed", body="{").expect(400).json() == {"code": 400, "kind": "HTTPError"}
    assert client.get("/quirky/410").expect(410).json()["title"] == "Gone"
    assert client.get("/quirky/409").expect(409).json()["detail"] == "oh"
    assert client.get("/teapot").expect(418).json()["title"] == "Teapot"
    assert client.get("/quirky/none").expect(404).json()["title"] == "Not Found"


def test_a_method_that_a_path_lacks_is_refused_in_the_manner_of_the_paths_one_owner(
    make_kernel: MakeKernel,
) -> None:
    def owner(plugin: str, *routes: tuple[str, str]) -> type[Plugin]:
        def kernel_routes(self: Plugin) -> Iterable[Route]:
            return [Route(method, path, lambda request, name="": None) for method, path in routes]

        def format_error(self: Plugin, request: Request, problem: Problem, error: Exception) -> Response:
            return Response.json({"from": plugin}, problem.status)

        hooks = {"kernel_routes": hookimpl(kernel_routes), "format_error": format_error}
        return type(plugin, (Plugin,), {"name": plugin, **hooks})

    client = make(
        make_kernel,
        owner("one", ("GET", "/fixed"), ("PUT", "/fixed"), ("GET", "/of/{name}"), ("GET", "/both")),
        owner("two", ("PUT", "/both")),
    )
    for path in ("/fixed", "/of/x"):
        refused = client.delete(path).expect(405)
        assert refused.json() == {"from": "one"}
        assert refused.header("allow") is not None
    assert client.delete("/both").expect(405).json()["title"] == "Method Not Allowed"
    assert client.get("/nowhere").expect(404).json()["title"] == "Not Found"
    assert client.delete("/healthz").expect(405).json()["title"] == "Method Not Allowed"


def test_the_first_identity_counts_and_a_bad_credential_never_falls_through(make_kernel: MakeKernel) -> None:
    def identifies(plugin: str, look: Callable[[Request], Identity | None]) -> type[Plugin]:
        def kernel_identify(self: Plugin, request: Request) -> Identity | None:
            return look(request)

        return type(plugin, (Plugin,), {"name": plugin, "kernel_identify": hookimpl(kernel_identify)})

    def strict(request: Request) -> Identity | None:
        key = request.headers.get("apikey")
        if key == "bad":
            raise HTTPError(401, "no such key")
        return Identity("service_role") if key == "good" else None

    client = make(
        make_kernel, identifies("first", strict), identifies("second", lambda request: Identity("anon"))
    )
    assert client.get("/who", headers={"apikey": "good"}).text == "service_role"
    assert client.get("/who").text == "anon"
    refused = client.get("/who", headers={"apikey": "bad"}).expect(401)
    assert refused.json()["detail"] == "no such key"
    client.get("/healthz", headers={"apikey": "bad"}).expect(200)


def hooking(plugin: str, **hooks: Callable[..., Any]) -> type[Plugin]:
    """Make a plugin of plain functions, one for each hook."""
    marked = {name: staticmethod(hookimpl(function)) for name, function in hooks.items()}
    return type(plugin, (Plugin,), {"name": plugin, **marked})


def test_the_first_response_before_the_handler_is_the_answer(make_kernel: MakeKernel) -> None:
    asked: list[str] = []

    def stop(request: Request) -> Response | None:
        asked.append("stop")
        return Response(b"closed", 503) if request.query == "closed" else None

    def later(request: Request) -> None:
        asked.append("later")

    client = make(
        make_kernel,
        hooking("stopping", kernel_before_request=stop),
        hooking("later", kernel_before_request=later),
    )
    assert client.get("/broken?closed").expect(503).body == b"closed"
    assert asked == ["stop"]
    client.get("/items").expect(200)
    assert asked == ["stop", "stop", "later"]


def test_a_failing_after_hook_becomes_an_error_and_ends_the_others(
    make_kernel: MakeKernel, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(request: Request, response: Response) -> None:
        raise LookupError("secret")

    def mark(request: Request, response: Response) -> None:
        response.headers.append(("x-mark", str(response.status)))

    client = make(
        make_kernel,
        hooking("marks", kernel_after_request=mark),
        hooking("fails", kernel_after_request=fail),
    )
    reply = client.get("/items").expect(500)
    assert "secret" not in reply.text
    assert reply.header("x-request-id") is not None
    assert "LookupError: secret" in caplog.text


def test_a_response_may_be_a_constant(make_kernel: MakeKernel) -> None:
    constant = Response(b"always the same", headers={"etag": '"v1"'})

    class ConstantPlugin(Plugin):
        name = "constant"

        @hookimpl
        def kernel_routes(self) -> Iterable[Route]:
            yield Route("GET", "/plain", lambda request: constant)
            yield Route("GET", "/async", self.answer)
            yield Route("GET", "/wrong", self.fail)

        async def answer(self, request: Request) -> Response:
            return constant

        def fail(self, request: Request) -> None:
            raise HTTPError(409, headers={"x-once": "1"})

        def format_error(self, request: Request, problem: Problem, error: Exception) -> Response:
            return constant

        @hookimpl
        def kernel_before_request(self, request: Request) -> Response | None:
            return constant if request.query == "closed" else None

    def mark(response: Response) -> None:
        response.headers.append(("x-mark", "1"))

    client = make(make_kernel, ConstantPlugin, hooking("marks", kernel_after_request=mark))
    for path in ("/plain", "/async", "/wrong", "/items?closed"):
        client.get(path, headers={"if-none-match": '"v1"', "origin": "https://a.example"})
        client.head(path)
    assert constant.headers == [("etag", '"v1"')]
    assert (constant.status, constant.body) == (200, b"always the same")


@pytest.mark.parametrize(
    ("path", "status"), [("/items", 200), ("/late", 500), ("/late-async", 500), ("/head", 200)]
)
def test_the_hooks_after_a_request_are_called_once_however_late_it_fails(
    make_kernel: MakeKernel, path: str, status: int
) -> None:
    seen: list[tuple[str, int]] = []

    def fail_late() -> Iterable[bytes]:
        yield b"a"
        raise LookupError("secret")

    class LatePlugin(Plugin):
        name = "late"

        @hookimpl
        def kernel_routes(self) -> Iterable[Route]:
            yield Route("GET", "/late", lambda request: fail_late())
            yield Route("GET", "/late-async", self.on_loop)
            yield Route("GET", "/head", lambda request: fail_late())

        async def on_loop(self, request: Request) -> Iterable[bytes]:
            return fail_late()

    client = make(
        make_kernel,
        LatePlugin,
        hooking("after", kernel_after_request=lambda response: seen.append(("after", response.status))),
        hooking("done", kernel_request_done=lambda response: seen.append(("done", response.status))),
    )
    client.request("HEAD" if path == "/head" else "GET", path).expect(status)
    assert seen == [("after", status), ("done", status)]


def test_after_hooks_see_errors_and_refusals_too(make_kernel: MakeKernel) -> None:
    def mark(response: Response) -> None:
        response.headers.append(("x-mark", str(response.status)))

    client = make(make_kernel, hooking("marks", kernel_after_request=mark))
    for path in ("/items", "/nowhere", "/broken", "/teapot"):
        reply = client.get(path)
        assert reply.header("x-mark") == str(reply.status)


def test_a_body_that_is_not_sent_is_closed(make_kernel: MakeKernel, caplog: pytest.LogCaptureFixture) -> None:
    closed: list[str] = []

    def break_off() -> None:
        closed.append("broken")
        raise LookupError("cannot close")

    class FilePlugin(Plugin):
        name = "file"

        @hookimpl
        def kernel_routes(self) -> Iterable[Route]:
            yield Route("GET", "/open", lambda request: self.file(lambda: closed.append(request.method)))
            yield Route("GET", "/stuck", lambda request: self.file(break_off))

        def file(self, close: Callable[[], None]) -> Response:
            return Response(FileBody(Path(__file__), 0, 9, close), headers={"etag": '"v1"'})

    client = make(make_kernel, FilePlugin)
    assert client.get("/open").expect(200).body != b""
    assert client.head("/open").header("content-length") == "9"
    client.request("GET", "/open", headers={"if-none-match": "*"}).expect(304)
    assert closed == ["GET", "HEAD", "GET"]
    client.head("/stuck").expect(200)
    assert "LookupError: cannot close" in caplog.text

    def fail(request: Request) -> None:
        raise LookupError

    failing = make(make_kernel, FilePlugin, hooking("fails", kernel_after_request=fail))
    failing.get("/open").expect(500)
    assert closed[-1] == "GET"
    assert len(closed) == 5


def test_an_error_that_json_cannot_hold_is_a_500_with_an_id(
    make_kernel: MakeKernel, caplog: pytest.LogCaptureFixture
) -> None:
    class SurrogateError(HTTPError):
        def __str__(self) -> str:
            return "a lone surrogate"  # which the captured log could not be sent with between processes

    class OddPlugin(Plugin):
        name = "odd"

        @hookimpl
        def kernel_routes(self) -> Iterable[Route]:
            yield Route("GET", "/extension", self.extension)
            yield Route("GET", "/detail", self.detail)

        def extension(self, request: Request) -> None:
            raise HTTPError(400, extensions={"odd": object()})

        def detail(self, request: Request) -> None:
            raise SurrogateError(400, "\ud800")

    client = make(make_kernel, OddPlugin)
    for path in ("/extension", "/detail"):
        caplog.clear()
        reply = client.get(path).expect(500)
        assert reply.json()["error_id"] == vars(caplog.records[-1])["error_id"]


@pytest.mark.parametrize("retry_after", [1, None])
def test_an_outage_is_a_503_and_one_line_in_the_log(
    make_kernel: MakeKernel, caplog: pytest.LogCaptureFixture, retry_after: int | None
) -> None:
    class AwayPlugin(Plugin):
        name = "away"

        @hookimpl
        def kernel_routes(self) -> Iterable[Route]:
            yield Route("GET", "/away", self.away)

        def away(self, request: Request) -> None:
            error = Unavailable("the store at s3.internal is away")
            error.retry_after = retry_after
            raise error

    reply = make(make_kernel, AwayPlugin).get("/away").expect(503)

    assert dict(reply.headers).get("retry-after") == (None if retry_after is None else "1")
    assert "s3.internal" not in reply.text
    logged = caplog.records[-1]
    assert "s3.internal" in vars(logged)["reason"]
    assert logged.exc_info is None
    assert reply.json()["error_id"] == vars(logged)["error_id"]


def test_a_failing_done_hook_changes_nothing_and_is_logged(
    make_kernel: MakeKernel, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[int, float]] = []

    def fail(request: Request, response: Response, seconds: float) -> None:
        raise LookupError("secret")

    def note(response: Response, seconds: float) -> None:
        seen.append((response.status, seconds))

    client = make(
        make_kernel, hooking("fails", kernel_request_done=fail), hooking("notes", kernel_request_done=note)
    )
    assert client.get("/items").expect(200).json() == ["tea"]
    assert seen == [(200, 0.0)]
    assert "LookupError: secret" in caplog.text


def test_inline_routes_run_in_threads_where_a_hook_may_block(
    make_kernel: MakeKernel, caplog: pytest.LogCaptureFixture
) -> None:
    def quick(request: Request) -> None:
        """Look."""

    slow = hooking("slow", kernel_before_request=lambda request: None)
    quick_plugin = hooking("quick", kernel_before_request=nonblocking(quick))
    with caplog.at_level(logging.WARNING):
        assert make(make_kernel, quick_plugin).kernel.dispatcher.inline is True
        assert caplog.records == []
        assert make(make_kernel, slow).kernel.dispatcher.inline is False
    assert "slow.<lambda>" in str(vars(caplog.records[0])["hooks"])


def test_hooks_are_asked_once_when_an_inline_handler_runs_again(make_kernel: MakeKernel) -> None:
    asked: list[bool] = []

    def before(request: Request) -> None:
        asked.append(request.inline)

    def handle(request: Request) -> str:
        if request.inline:
            raise NotInline
        return "in a thread"

    class LargePlugin(Plugin):
        name = "large"

        @hookimpl
        def kernel_routes(self) -> Iterable[Route]:
            yield Route("GET", "/large", handle, inline=True)

    client = make(make_kernel, LargePlugin, hooking("counts", kernel_before_request=nonblocking(before)))
    assert client.get("/large").text == "in a thread"
    assert asked == [True]


def test_readyz_gathers_the_checks_and_a_broken_check_is_a_failed_one(make_kernel: MakeKernel) -> None:
    state: dict[str, str | None] = {"disk": None}

    def broken() -> dict[str, str | None]:
        raise LookupError("secret")

    well = make(make_kernel, hooking("store", kernel_health=lambda: state))
    assert well.get("/readyz").expect(200).json() == {"status": "ok", "checks": {"store.disk": "ok"}}
    state["disk"] = "full"
    ill = well.get("/readyz").expect(503)
    assert ill.json() == {"status": "unavailable", "checks": {"store.disk": "full"}}
    assert ill.header("cache-control") == "no-store"
    failing = make(make_kernel, hooking("store", kernel_health=broken)).get("/readyz").expect(503)
    assert failing.json()["checks"] == {"store": "the check itself failed; see the log"}


SEGMENTS = st.text(max_size=12) | st.sampled_from(
    [
        "items",
        "only",
        "tagged",
        "dated",
        "file",
        "names",
        "quirky",
        "..",
        ".",
        "%2f",
        "%00",
        "healthz",
        "{name}",
        "*",
    ]
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "accept", "access-control-request-headers", "access-control-request-method", "authorization",
            "content-length", "content-type", "if-modified-since", "if-none-match", "origin", "range",
            "traceparent", "x-request-id", "host",
        ]
    )
    | st.text(min_size=1, max_size=8),
    st.text(max_size=30)
    | st.sampled_from(["0", "-1", "*", '"v1"', MODIFIED, "application/json", "+json", "Thu, 99 Foo"]),
    max_size=4,
)  # fmt: skip
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW", "get", ""])
KNOWN_TO_BREAK = ("/broken", "/broken-async", "/not-inline", "/unencodable", "/older")


@given(METHODS, st.lists(SEGMENTS, max_size=5), st.text(max_size=30), HEADERS, st.binary(max_size=40))
def test_no_request_whatsoever_is_a_500(
    client: Client, method: str, segments: list[str], query: str, headers: dict[str, str], body: bytes
) -> None:
    path = "/" + "/".join(segments)
    reply = client.request(method, path, query=query, headers=headers, body=body)
    assert reply.status < 500 or path.startswith(KNOWN_TO_BREAK), (reply.status, reply.body)
    assert reply.header("x-request-id") or not reply.headers

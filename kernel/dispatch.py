"""One request's way through the kernel, to be read top to bottom."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from kernel.errors import HookError, describe
from kernel.http import (
    Body,
    FileBody,
    HeaderList,
    HTTPError,
    NotInline,
    Problem,
    Request,
    Response,
    Unavailable,
    respond,
)  # fmt: skip
from kernel.plugin import Plugin
from kernel.routing import Match, Route, Router
from kernel.sources import Clock, Ids

T = TypeVar("T")
Run = Callable[..., Awaitable[Any]]
Begin = Callable[[Body], Body]

MAX_PATH = 8192
_TRACEPARENT = re.compile(
    r"(?!ff|00-.{53})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_BAD_CHARACTER = re.compile("[\x00-\x1f\x7f\ufffd\\\\]")
_DOT_SEGMENT = re.compile(r"/\.\.?(?:/|$)")
_BODYLESS = frozenset({204, 304})

_log = logging.getLogger("kernel.dispatch")


class RequestHooks:
    """The request hooks of all plugins, resolved once so that a request pays only for those that exist."""

    def __init__(self, manager: Any) -> None:
        self.identify = _compile(manager, "kernel_identify", ("request",))
        self.before = _compile(manager, "kernel_before_request", ("request",))
        self.after = _compile(manager, "kernel_after_request", ("request", "response"))
        self.done = _compile(manager, "kernel_request_done", ("request", "response", "seconds"))
        self.blocking = [
            f"{owner}.{function.__name__}"
            for hooks in (self.identify, self.before, self.after, self.done)
            for owner, function, nonblocking in hooks
            if not nonblocking
        ]


class Dispatcher:
    """Takes requests from a server to their handlers and answers back.

    A server calls `route`, reads the body the route wants, then calls `handle` (on a thread, or on the loop for
    an inline route) or `handle_async`; where it cannot read the body, `refuse`. None of them raises, except
    `NotInline` out of an inline `handle`. Whatever happens, the hooks after a request are called once.

    `begin` is how the server begins a body that is made piece by piece, as far as it does before it sends anything:
    what fails by then is answered as an error. It is given no body that is not going to be sent.
    """

    def __init__(
        self,
        router: Router,
        plugins: dict[str, Plugin],
        hooks: RequestHooks,
        *,
        clock: Clock,
        ids: Ids,
        max_body_bytes: int,
        cors_origins: tuple[str, ...],
    ) -> None:
        self._router = router
        self._plugins = plugins
        self._identify = tuple(function for _, function, _ in hooks.identify)
        self._before = tuple(function for _, function, _ in hooks.before)
        self._after = tuple(function for _, function, _ in hooks.after)
        self._done = tuple(function for _, function, _ in hooks.done)
        self._monotonic = clock.monotonic
        self._token = ids.token
        self._max_body_bytes = max_body_bytes
        self._cors = frozenset(cors_origins)
        self.inline = not hooks.blocking

    def route(self, request: Request) -> Match | Response:
        """Name the request and find its route, or answer at once where there is none."""
        self._name(request)
        try:
            _check_path(request.path)
            if request.method == "OPTIONS":
                answer = self._options(request)
                if answer is not None:
                    return self._finish(request, None, answer)
            match = self._router.match(request.method, request.path)
        except Exception as error:
            # A path that has routes, but none for this method, may still be one plugin's own.
            is_known = isinstance(error, HTTPError) and error.status == 405
            owner = self._router.owner(request.path) if is_known else None
            return self._finish(request, None, self._fail(request, owner, error))
        try:
            length = request.content_length
            if length is not None and length > self.body_limit(match.route):
                raise self.too_large(match.route)
        except HTTPError as error:
            return self.refuse(request, match.route, error)
        return match

    def body_limit(self, route: Route) -> int:
        """Return how many bytes of body a route takes."""
        return self._max_body_bytes if route.max_body_bytes is None else route.max_body_bytes

    def too_large(self, route: Route) -> HTTPError:
        """Make the error for a body over the route's limit."""
        return HTTPError(
            413, f"the body is larger than the {self.body_limit(route)} bytes that this route takes"
        )

    def handle(self, request: Request, match: Match, begin: Begin) -> Response:
        """Take the request through hooks and handler; raises `NotInline` only where ``request.inline`` is set."""
        route = match.route
        try:
            answer = self._admit(request, route)
            response = respond(route.invoke(request, match.values) if answer is None else answer)
            if type(response.body) is not bytes and _is_to_begin(request, response):
                response.body = begin(response.body)
        except NotInline as error:
            if request.inline:
                raise
            response = self._fail(request, route.owner, error)
        except Exception as error:
            response = self._fail(request, route.owner, error)
        return self._finish(request, route, response)

    async def handle_async(self, request: Request, match: Match, begin: Begin, run: Run) -> Response:
        """Do the same for an ``async def`` handler; `run` awaits a function on a thread, for what may block."""
        route = match.route
        try:
            answer = self._admit(request, route) if self.inline else await run(self._admit, request, route)
            response = respond(await route.invoke(request, match.values) if answer is None else answer)
            if type(response.body) is not bytes and _is_to_begin(request, response):
                response.body = await run(begin, response.body)
        except Exception as error:
            response = self._fail(request, route.owner, error)
        if self.inline:
            return self._finish(request, route, response)
        finished: Response = await run(self._finish, request, route, response)
        return finished

    def refuse(self, request: Request, route: Route | None, error: Exception) -> Response:
        """Answer with an error that a server found itself: a body too large, broken off, or too slow."""
        owner = None if route is None else route.owner
        return self._finish(request, route, self._fail(request, owner, error))

    def admit_socket(self, request: Request) -> Response | None:
        """Identify a WebSocket's upgrade request and ask the hooks; a response is a refusal."""
        self._name(request)
        try:
            _check_path(request.path)
            answer = self._admit(request, None)
        except Exception as error:
            answer = self._fail(request, None, error)
        return None if answer is None else self._finish(request, None, respond(answer))

    def _name(self, request: Request) -> None:
        request.started = self._monotonic()
        get = request.headers.get
        trace = get("traceparent")
        if trace is not None:
            match = _TRACEPARENT.fullmatch(trace)
            request.trace = match[1] if match else None
        given = get("x-request-id")
        request.id = given if given is not None and _REQUEST_ID.fullmatch(given) else self._token()

    def _options(self, request: Request) -> Response | None:
        """Answer OPTIONS for a path without a route of its own for it."""
        allowed = ", ".join(self._router.allowed(request.path))
        asked = request.headers.get("access-control-request-method")
        if asked is None:
            try:
                self._router.match("OPTIONS", request.path)
            except HTTPError:
                return Response(status=204, headers=[("allow", allowed)])
            return None
        headers: HeaderList = [
            ("allow", allowed),
            ("access-control-allow-methods", allowed),
            ("access-control-max-age", "86400"),
        ]
        wanted = request.headers.get("access-control-request-headers")
        if wanted:
            headers.append(("access-control-allow-headers", wanted))
        return Response(status=204, headers=headers)

    def _admit(self, request: Request, route: Route | None) -> Response | None:
        if request.admitted or (route is not None and route.owner == "kernel"):
            return None
        for identify in self._identify:
            identity = identify(request)
            if identity is not None:
                request.identity = identity
                break
        for before in self._before:
            response: Response | None = before(request)
            if response is not None:
                return response
        request.admitted = True
        return None

    def _fail(self, request: Request, owner: str | None, error: Exception) -> Response:
        problem, headers = self._problem(request, error)
        plugin = None if owner is None else self._plugins.get(owner)
        response: Response | None = None
        if plugin is not None:
            try:
                response = plugin.format_error(request, problem, error)
            except Exception:
                _log.exception(
                    "format_error failed", extra={"plugin": plugin.name, "error_id": problem.error_id}
                )
        response = respond(response or self._rendered(request, problem))
        response.headers.extend(headers)
        return response

    def _rendered(self, request: Request, problem: Problem) -> Response:
        try:
            return problem.response()
        except Exception as error:  # a detail or an extension that JSON cannot hold
            return self._problem(request, error)[0].response()

    def _problem(self, request: Request, error: Exception) -> tuple[Problem, HeaderList]:
        error_id = self._token()
        if isinstance(error, HTTPError):
            if error.status >= 500:
                _log.error(
                    "request failed", exc_info=error, extra={"request": request.id, "error_id": error_id}
                )
            problem = Problem(error.title, error.status, error.detail, error.type, error_id, error.extensions)
            return problem, error.headers
        if isinstance(error, Unavailable):
            return self._outage(request, error, error_id)
        _log.error("request failed", exc_info=error, extra={"request": request.id, "error_id": error_id})
        detail = "the server failed to answer; its log holds the cause under this error_id"
        return Problem("Internal Server Error", 500, detail, error_id=error_id), []

    @staticmethod
    def _outage(request: Request, error: Unavailable, error_id: str) -> tuple[Problem, HeaderList]:
        """Log an outage in one line: where in the code it was noticed says nothing."""
        extra = {"request": request.id, "error_id": error_id, "reason": describe(error)}
        _log.error("request failed", extra=extra)
        headers = [] if error.retry_after is None else [("retry-after", str(error.retry_after))]
        detail = "the server cannot answer for now; its log holds the cause under this error_id"
        return Problem("Service Unavailable", 503, detail, error_id=error_id), headers

    def _finish(self, request: Request, route: Route | None, response: Response) -> Response:
        for after in self._after:
            try:
                after(request, response)
            except Exception as error:
                self._let_go(request, response)
                response = self._fail(request, None if route is None else route.owner, error)
                break
        headers = response.headers
        if route is not None and route.deprecated is not None:
            headers.extend(_deprecation(route))
        if response.status == 200 and _not_modified(request, response):
            response.status = 304
        origin = request.headers.get("origin")
        if origin is not None:
            self._share(origin, headers)
        headers.append(("x-request-id", request.id))
        if response.status in _BODYLESS:
            self._let_go(request, response)
        elif request.method == "HEAD":
            _tell_length(response)
            self._let_go(request, response)
        if self._done:
            seconds = self._monotonic() - request.started
            for done in self._done:
                try:
                    done(request, response, seconds)
                except Exception:
                    _log.exception("kernel_request_done failed", extra={"request": request.id})
        return response

    def _let_go(self, request: Request, response: Response) -> None:
        """Leave an answer without its body, which no server will close then."""
        close = getattr(response.body, "close", None)
        response.body = b""
        if close is not None:
            try:
                close()
            except Exception:
                _log.exception("a body failed to close", extra={"request": request.id})

    def _share(self, origin: str, headers: HeaderList) -> None:
        if "*" in self._cors:
            headers.append(("access-control-allow-origin", "*"))
        elif origin in self._cors:
            headers.append(("access-control-allow-origin", origin))
            headers.append(("vary", "Origin"))
        else:
            return
        headers.append(("access-control-expose-headers", "*"))


def _compile(
    manager: Any, name: str, parameters: tuple[str, ...]
) -> list[tuple[str, Callable[..., Any], bool]]:
    """Return owner, function and whether it is non-blocking for each implementation, in the order of calling."""
    compiled = []
    for impl in reversed(getattr(manager.hook, name).get_hookimpls()):
        if impl.wrapper or impl.hookwrapper:
            raise HookError(f"plugin {impl.plugin_name!r} wraps {name}; request hooks cannot be wrapped")
        nonblocking = getattr(impl.function, "nonblocking", False)
        compiled.append(
            (impl.plugin_name, _fit(impl.function, tuple(impl.argnames), parameters), nonblocking)
        )
    return compiled


def _fit(function: Callable[..., Any], takes: tuple[str, ...], given: tuple[str, ...]) -> Callable[..., Any]:
    """Adapt a hook implementation that takes fewer arguments than its specification gives, as pluggy allows."""
    if takes == given:
        return function
    positions = [given.index(name) for name in takes]

    def adapted(*arguments: Any) -> Any:
        return function(*(arguments[position] for position in positions))

    adapted.__name__ = getattr(function, "__name__", "hook")
    return adapted


def _check_path(path: str) -> None:
    if len(path) > MAX_PATH:
        raise HTTPError(414, f"the path is longer than {MAX_PATH} characters")
    if path[:1] != "/" or _BAD_CHARACTER.search(path) or ("/." in path and _DOT_SEGMENT.search(path)):
        raise HTTPError(
            400,
            "the path holds a control character, a backslash, a '.' or '..' segment, or is not valid UTF-8",
        )


def _is_to_begin(request: Request, response: Response) -> bool:
    """Tell whether a body is made piece by piece, and will be sent: not for HEAD, nor to who has it already."""
    if isinstance(response.body, bytes | FileBody) or response.status in _BODYLESS:
        return False
    if request.method == "HEAD":
        return False
    return response.status != 200 or not _not_modified(request, response)


def _tell_length(response: Response) -> None:
    """Say how long the body is, where that is known."""
    body = response.body
    length = (
        len(body)
        if isinstance(body, bytes)
        else body.end - body.start
        if isinstance(body, FileBody)
        else None
    )
    if length is not None and response.header("content-length") is None:
        response.headers.append(("content-length", str(length)))


def _not_modified(request: Request, response: Response) -> bool:
    """Evaluate the conditions of RFC 9110, section 13, which GET and HEAD have."""
    get = request.headers.get
    known = get("if-none-match")
    since = get("if-modified-since")
    if (known is None and since is None) or request.method not in ("GET", "HEAD"):
        return False
    if known is not None:
        tag = response.header("etag")
        if tag is None:
            return False
        candidates = [candidate.strip().removeprefix("W/") for candidate in known.split(",")]
        return "*" in candidates or tag.removeprefix("W/") in candidates
    modified = response.header("last-modified")
    if modified is None:
        return False
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(modified) <= parsedate_to_datetime(since)
    except (ValueError, TypeError):
        return False


def _deprecation(route: Route) -> HeaderList:
    from email.utils import format_datetime

    assert route.deprecated is not None  # noqa: S101 - asked by the caller
    headers: HeaderList = [("deprecation", f"@{int(route.deprecated.since.timestamp())}")]
    if route.deprecated.sunset is not None:
        headers.append(("sunset", format_datetime(route.deprecated.sunset, usegmt=True)))
    if route.deprecated.successor is not None:
        headers.append(("link", f'<{route.deprecated.successor}>; rel="successor-version"'))
    return headers

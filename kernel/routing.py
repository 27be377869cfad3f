"""Routes, and the router that finds the one for a path (werkzeug's Map behind a table of fixed paths)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from kernel.errors import RouteError
from kernel.http import HTTPError, Request, Upload

if TYPE_CHECKING:
    from werkzeug.routing import Map, MapAdapter

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_VARIABLE = re.compile(r"\{([a-zA-Z_][a-zA-Z0-9_]*)(?::(int|uuid|path))?\}")

# Tables and functions are asked for again and again by the same few paths; rows by ever new ones.
_KEPT, _LONGEST_KEPT = 1_000, 100

Invoke = Callable[[Request, Mapping[str, Any]], Any]


class Deprecation(msgspec.Struct, frozen=True):
    """Says that a route will go: `since` and `sunset` become the headers of RFC 9745 and RFC 8594.

    `successor` is the address of what to use instead.
    """

    since: datetime
    sunset: datetime | None = None
    successor: str | None = None


class Route:
    """One method on one path.

    `path` holds variables as ``{name}``, ``{name:int}``, ``{name:uuid}`` or ``{name:path}`` (the rest, slashes
    included). `handler` takes the request, the path's values by name and, if it has a parameter `body`, the
    body: annotated as a struct (JSON, decoded and validated), ``bytes``, or `Upload` (read in pieces). It is a
    plain function, run in a thread; or ``async def``, run on the event loop; or, with `inline`, a plain function
    that answers in microseconds and runs on the event loop too. `max_body_bytes` overrides the kernel's limit.
    A GET route answers HEAD as well.
    """

    __slots__ = (
        "body", "deprecated", "handler", "inline", "invoke", "is_async", "max_body_bytes", "method", "owner",
        "path", "summary", "variables",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        path: str,
        handler: Callable[..., Any],
        *,
        summary: str = "",
        inline: bool = False,
        max_body_bytes: int | None = None,
        deprecated: Deprecation | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.handler = handler
        self.summary = summary
        self.inline = inline
        self.max_body_bytes = max_body_bytes
        self.deprecated = deprecated
        self.owner = ""
        self.is_async = inspect.iscoroutinefunction(handler)
        self.body: Any = None
        self.variables: dict[str, None] = {}
        self.invoke: Invoke = _unbound

    def bind(self, owner: str) -> None:
        """Check the route against its handler and make `invoke`; raises `RouteError`."""
        self.owner = owner
        where = f"plugin {owner!r}, route {self.method} {self.path}"
        if self.method not in METHODS:
            raise RouteError(f"{where}: unknown method; use one of {', '.join(METHODS)}")
        if self.inline and self.is_async:
            raise RouteError(f"{where}: an async handler runs on the loop anyway; drop inline=True")
        self.variables = variables = _variables(self.path, where)
        _check_parameters(self.handler, set(variables), where)
        self.body = _hints(self.handler, where).get("body")
        self.invoke = _invoker(self.handler, self.body, where)

    def __repr__(self) -> str:
        return f"<Route {self.method} {self.path}>"


class WebSocketRoute:
    """A WebSocket on a path: `handler` is ``async def (socket, **path values)``; see `kernel.websocket`."""

    __slots__ = ("handler", "owner", "path", "summary")

    def __init__(self, path: str, handler: Callable[..., Any], *, summary: str = "") -> None:
        self.path = path
        self.handler = handler
        self.summary = summary
        self.owner = ""

    def bind(self, owner: str) -> None:
        """Check the route against its handler; raises `RouteError`."""
        self.owner = owner
        where = f"plugin {owner!r}, websocket {self.path}"
        if not inspect.iscoroutinefunction(self.handler):
            raise RouteError(f"{where}: the handler must be an async function")
        _check_parameters(self.handler, set(_variables(self.path, where)), where)

    def __repr__(self) -> str:
        return f"<WebSocketRoute {self.path}>"


class Match(msgspec.Struct, frozen=True, gc=False):
    """A route and the values its path's variables took."""

    route: Route
    values: Mapping[str, Any]


class Router:
    """Finds routes; closed by `freeze`."""

    def __init__(self) -> None:
        self.routes: list[Route] = []
        self.sockets: list[WebSocketRoute] = []
        self._taken: dict[tuple[str | None, str], Route | WebSocketRoute] = {}
        self._fixed: dict[str, dict[str, Match]] = {}
        self._http = _Paths([])
        self._ws = _Paths([])
        self._recent = lru_cache(_KEPT)(self._match)

    def add(self, owner: str, route: Route | WebSocketRoute) -> None:
        """Register a route of plugin `owner`; raises `RouteError` where another has the same."""
        route.bind(owner)
        place = (route.method if isinstance(route, Route) else None, _shape(route.path))
        other = self._taken.get(place)
        if other is not None:
            raise RouteError(
                f"plugins {other.owner!r} and {owner!r} both have the route {route!r}; "
                f"disable one of them: kernel plugins disable {owner}"
            )
        self._taken[place] = route
        if isinstance(route, Route):
            self.routes.append(route)
        else:
            self.sockets.append(route)

    def freeze(self) -> None:
        """Sort the routes by their paths; no route is added afterwards."""
        by_shape: dict[str, list[Route]] = {}
        for route in self.routes:
            by_shape.setdefault(_shape(route.path), []).append(route)
        variable: list[tuple[str, Any]] = []
        for routes in by_shape.values():
            path = routes[0].path
            methods = {route.method: route for route in routes}
            if "GET" in methods:
                methods.setdefault("HEAD", methods["GET"])
            if "{" in path:
                variable.append((path, methods))
            else:
                self._fixed[path] = {method: Match(route, {}) for method, route in methods.items()}
        self._http = _Paths(variable)
        self._ws = _Paths([(route.path, route) for route in self.sockets])

    def warm_up(self) -> None:
        """Load what the first path with variables would otherwise wait for."""
        for paths in (self._http, self._ws):
            if paths.entries:
                paths.warm_up()

    def match(self, method: str, path: str) -> Match:
        """Return the route for a method and a path; raises `HTTPError` 404, or 405 with ``Allow``."""
        fixed = self._fixed.get(path)
        if fixed is not None:
            match = fixed.get(method)
            if match is not None:
                return match
            raise _not_allowed(fixed)
        return self._recent(method, path) if len(path) <= _LONGEST_KEPT else self._match(method, path)

    def _match(self, method: str, path: str) -> Match:
        methods, values = self._http.find(path)
        route = methods.get(method)
        if route is None:
            raise _not_allowed(methods)
        if values.keys() != route.variables.keys():
            values = dict(zip(route.variables, values.values(), strict=True))
        return Match(route, values)

    def allowed(self, path: str) -> list[str]:
        """Return the methods a path answers; raises `HTTPError` 404."""
        return sorted({"OPTIONS", *(self._fixed.get(path) or self._http.find(path)[0])})

    def owner(self, path: str) -> str | None:
        """Return the plugin that all routes of a path belong to; None where they are several's, or there are none."""
        try:
            routes = self._fixed.get(path) or self._http.find(path)[0]
        except HTTPError:
            return None
        owners = {(at.route if isinstance(at, Match) else at).owner for at in routes.values()}
        return owners.pop() if len(owners) == 1 else None

    def match_socket(self, path: str) -> tuple[WebSocketRoute, Mapping[str, Any]]:
        """Return the WebSocket route for a path; raises `HTTPError` 404."""
        return self._ws.find(path)


def _not_allowed(methods: Mapping[str, Any]) -> HTTPError:
    allow = ", ".join(sorted({"OPTIONS", *methods}))
    return HTTPError(405, f"use one of {allow}", headers={"allow": allow})


class _Endpoint:
    """What a rule leads to, hashable as werkzeug wants its endpoints."""

    __slots__ = ("target",)

    def __init__(self, target: Any) -> None:
        self.target = target


class _Paths:
    """Finds what a path with variables leads to, with werkzeug's Map.

    The Map is made when it is first needed and not at the boot, because werkzeug.routing brings along all of
    werkzeug, its development server included. Whatever can be wrong with a path, `Route.bind` has refused.
    """

    __slots__ = ("_adapter", "entries")

    def __init__(self, entries: list[tuple[str, Any]]) -> None:
        self.entries = entries
        self._adapter: MapAdapter | None = None

    def find(self, path: str) -> tuple[Any, Mapping[str, Any]]:
        """Return the target of a path, and its variables' values; raises `HTTPError` 404."""
        if self.entries and not path.startswith("//"):  # werkzeug would take leading slashes for one
            # Of the package, as in `warm_up`: whoever imports a module of it does not wait for a thread that is still
            # importing the package, and finds it half made.
            from werkzeug import exceptions

            try:
                endpoint, values = (self._adapter or self.warm_up()).match(path, "GET")
                return endpoint.target, values
            except exceptions.NotFound:
                pass
        raise HTTPError(404, f"nothing is served at {path}")

    def warm_up(self) -> MapAdapter:
        """Make the Map; two threads that do so at once make the same."""
        from werkzeug import routing

        rules = [routing.Rule(_werkzeug(path), endpoint=_Endpoint(target)) for path, target in self.entries]
        url_map: Map = routing.Map(rules, strict_slashes=False, merge_slashes=False, redirect_defaults=False)
        url_map.update()
        self._adapter = url_map.bind("kernel")
        return self._adapter


def _werkzeug(path: str) -> str:
    return _VARIABLE.sub(lambda match: f"<{match[2] or 'string'}:{match[1]}>", path)


def _shape(path: str) -> str:
    return _VARIABLE.sub(lambda match: f"{{:{match[2] or ''}}}", path)


def _variables(path: str, where: str) -> dict[str, None]:
    names = [match[1] for match in _VARIABLE.finditer(path)]
    rest = _VARIABLE.sub("", path)
    if not path.startswith("/") or any(char in rest for char in "{}<>?#%"):
        raise RouteError(
            f"{where}: a path begins with '/' and holds variables as {{name}} or {{name:int|uuid|path}}"
        )
    if len(set(names)) != len(names):
        raise RouteError(f"{where}: a variable occurs twice")
    return dict.fromkeys(names)


def _hints(handler: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        return get_type_hints(handler)
    except NameError as error:
        raise RouteError(
            f"{where}: the annotation {error.name!r} of {handler.__qualname__} cannot be resolved; "
            "import it at module level, not under TYPE_CHECKING"
        ) from error


def _check_parameters(handler: Callable[..., Any], variables: set[str], where: str) -> None:
    if not (inspect.isfunction(handler) or inspect.ismethod(handler)):
        raise RouteError(f"{where}: {handler!r} is neither a function nor a method")
    first, *parameters = inspect.signature(handler).parameters.values() or (None,)
    if first is None:
        raise RouteError(
            f"{where}: {handler.__qualname__} takes no parameter; its first one is the request or socket"
        )
    if any(parameter.name == "body" and parameter.annotation is parameter.empty for parameter in parameters):
        raise RouteError(f"{where}: annotate 'body' of {handler.__qualname__} with a struct, bytes or Upload")
    names = {parameter.name for parameter in parameters} - {"body"}
    missing = variables - names
    extra = {p.name for p in parameters if p.default is p.empty} - {"body"} - variables
    if missing or extra:
        name = sorted(missing or extra)[0]
        problem = "takes no parameter" if missing else "wants a parameter that the path does not have:"
        raise RouteError(f"{where}: {handler.__qualname__} {problem} {name!r}")


def _invoker(handler: Callable[..., Any], body: Any, where: str) -> Invoke:
    if body is None:
        return lambda request, values: handler(request, **values)
    if body in (bytes, Upload):
        return lambda request, values: handler(request, **values, body=request.body)
    try:
        decode = msgspec.json.Decoder(body).decode
    except TypeError as error:
        raise RouteError(
            f"{where}: JSON cannot become the body of {handler.__qualname__}: {error}"
        ) from error
    return lambda request, values: handler(request, **values, body=_decoded(request, decode))


def _decoded(request: Request, decode: Callable[[bytes], Any]) -> Any:
    content_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise HTTPError(415, "send the body as application/json")
    assert isinstance(request.body, bytes)  # noqa: S101 - the server reads it whole for such a route
    try:
        return decode(request.body)
    except msgspec.ValidationError as error:
        raise HTTPError(422, f"the body does not fit: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPError(400, f"the body is not valid JSON: {error}") from error
    except RecursionError as error:
        raise HTTPError(400, "the body is nested too deeply") from error


def _unbound(request: Request, values: Mapping[str, Any]) -> Any:
    raise RouteError("the route was not added to a router")

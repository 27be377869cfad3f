"""What a request's headers ask for: a schema, preferences, a media type; and how long the answer takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from kernel.contracts.database import RequestSettings
from kernel.contracts.records import Medium
from kernel.http import Body, HeaderList, Request, Response
from plugins.rest.errors import RestError
from plugins.rest.negotiation import accept
from plugins.rest.negotiation.accept import MediaType
from plugins.rest.negotiation.prefer import Preferences, preferences
from plugins.rest.negotiation.surroundings import Surroundings, overridden
from plugins.rest.settings import RestSettings

ProfileHeader = Literal["accept-profile", "content-profile"]


class Watch(Protocol):
    """Measures the parts of a request's way."""

    def lap(self, name: str) -> None:
        """Say that what was done since the last lap is called `name`."""

    def headers(self) -> HeaderList:
        """Return the header that tells, if it is to be told."""


class Untimed:
    """Measures nothing."""

    def lap(self, name: str) -> None:
        """Do nothing."""

    def headers(self) -> HeaderList:
        """Return no header."""
        return []


class Stopwatch:
    """Measures laps for ``Server-Timing``, from the moment `began` on; `now` gives seconds."""

    def __init__(self, now: Callable[[], float], began: float) -> None:
        self._now = now
        self._last = began
        self._laps: list[str] = []

    def lap(self, name: str) -> None:
        """Say that what was done since the last lap is called `name`."""
        moment = self._now()
        self._laps.append(f"{name};dur={(moment - self._last) * 1000:.1f}")
        self._last = moment

    def headers(self) -> HeaderList:
        """Return the header, its last lap being the making of the answer."""
        self.lap("response")
        return [("server-timing", ", ".join(self._laps))]


class Terms(msgspec.Struct, frozen=True):
    """What was agreed on: `profile` is the header that says which schema, `undo` that a write leaves no trace.

    `settings` are those that the request's statements run with.
    """

    schema: str
    profile: HeaderList
    prefer: Preferences
    media: MediaType
    undo: bool
    watch: Watch
    settings: RequestSettings

    def explained(self, plan: bytes) -> Response:
        """Return a plan in place of the answer."""
        return self.answer(plan, 200, [*self.profile, ("content-type", self.media.content_type)])

    def answer(self, body: Body, status: int, headers: HeaderList) -> Response:
        """Return the answer, its status and headers as the database has set them."""
        response = Response(body, status, headers)
        response.headers += self.watch.headers()
        return overridden(response, self.settings) if self.settings.left else response


class Negotiator:
    """Reads requests' headers; `now` is a clock for ``Server-Timing``.

    `on_server` says that the database is PostgreSQL, which knows time zones and tells plans; `verbosity` is that of
    errors.
    """

    def __init__(self, settings: RestSettings, now: Callable[[], float], *, on_server: bool) -> None:
        self._zones = on_server
        self._plans = settings.plans and on_server
        self.verbosity = settings.error_verbosity
        self._surroundings = Surroundings(settings.extra_search_path, _function(settings.pre_request))
        self._schemas = settings.schemas
        self._overridable = settings.tx_end.endswith("-allow-override")
        self._undoes = settings.tx_end.startswith("rollback")
        self._now = now if settings.server_timing else None

    def terms(self, request: Request, header: ProfileHeader, own: Medium | None = None) -> Terms:
        """Return what a request for rows asks for; raises `RestError` PGRST106, PGRST107 or PGRST122.

        `own` is the media type of a function.
        """
        watch = self.watch(request)
        schema, profile = self.schema(request, header)
        prefer = preferences(request, tx=self._overridable, zones=self._zones)
        media = accept.wanted(request, plans=self._plans, own=own)
        undo = self._undoes if prefer.tx is None else prefer.tx == "rollback"
        settings = self._surroundings.of(request, schema, prefer.timezone)
        return Terms(schema, profile, prefer, media, undo, watch, settings)

    def settings(self, request: Request) -> RequestSettings:
        """Return the settings of a request that holds others, or is about more than a write."""
        schema, _ = self.schema(request, "content-profile")
        return self._surroundings.of(request, schema, None)

    def watch(self, request: Request) -> Watch:
        """Return what measures a request; what came before it is the finding out who asks."""
        if self._now is None:
            return _UNTIMED
        watch = Stopwatch(self._now, request.started)
        watch.lap("jwt")
        return watch

    def schema(self, request: Request, header: ProfileHeader) -> tuple[str, HeaderList]:
        """Return the schema that a request is about, and the header that says so where it may be another."""
        profile = request.headers.get(header)
        if profile is None:
            schema = self._schemas[0]
            return schema, [("content-profile", schema)] if len(self._schemas) > 1 else []
        if profile not in self._schemas:
            hint = f"Only the following schemas are exposed: {', '.join(self._schemas)}"
            raise RestError(406, "PGRST106", f"Invalid schema: {profile}", hint=hint)
        return profile, [("content-profile", profile)]


def _function(name: str | None) -> tuple[str, ...] | None:
    return None if name is None else tuple(name.rsplit(".", 1))


_UNTIMED = Untimed()

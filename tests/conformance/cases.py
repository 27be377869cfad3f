"""The cases: requests with the answers that are expected, read from a file of JSON."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from joserfc import jwt
from joserfc.jwk import OctKey

ROLES = {"postgrest_test_anonymous": "anon"}
"""Roles of the fixtures that are others here: who sends no credential is ``anon``, which cannot be set."""

TIERS = ("core", "emulated", "pg")

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_TOKEN = re.compile(r"\{\{jwt:(.*)\}\}", re.DOTALL)
_NOW = re.compile(r"@now([+-]\d+)?")
# What a request line can hold as it is; a percent sign begins an escape that is there already.
_URL_SAFE = "%/?&=:,;.+*()!$'@-_~[]|"


class Expected(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an answer should be; a part that is UNSET is not asserted. `status` None is any."""

    status: int | None = None
    json: Any = msgspec.UNSET
    text: str | msgspec.UnsetType = msgspec.UNSET
    base64: str | msgspec.UnsetType = msgspec.UNSET
    json_paths: tuple[dict[str, Any], ...] = ()
    headers: tuple[dict[str, Any], ...] = ()


class Case(msgspec.Struct, frozen=True):
    """One request. Those of one `group` run in the order of `seq`; `config` overrides the base configuration."""

    id: int
    spec_file: str
    line: int
    group: str
    seq: int
    config: dict[str, str]
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: str
    expect: Expected
    tier_guess: str
    description: str = ""
    body_base64: str | None = None
    setup_only: bool = False

    @property
    def where(self) -> str:
        """The place it was read from: ``QuerySpec.hs:120``."""
        return f"{self.spec_file.rpartition('/')[2]}:{self.line}"

    @property
    def content(self) -> bytes:
        """The request's body."""
        return base64.b64decode(self.body_base64) if self.body_base64 else self.body.encode()

    @property
    def target(self) -> str:
        """The request's path and query below the API's root, with escapes where a request line needs them."""
        return quote("/" + self.path.removeprefix("/"), safe=_URL_SAFE)

    @property
    def reads_only(self) -> bool:
        """Whether its method changes nothing."""
        return self.method in _SAFE_METHODS

    def lines(self, secret: bytes, now: float | None = None) -> Iterator[tuple[str, str]]:
        """Yield its header lines, tokens signed with `secret`; `now` in seconds since 1970, else the clock's."""
        moment = int(time.time() if now is None else now)
        for name, value in self.headers:
            yield name, _TOKEN.sub(lambda match: _signed(match[1], secret, moment), value)


class Suite(msgspec.Struct, frozen=True):
    """All cases, and the commit of the project they were read from."""

    commit: str
    cases: tuple[Case, ...]

    def groups(self, pattern: str | None = None) -> Iterator[tuple[str, list[Case]]]:
        """Yield the groups, each in order; with a `pattern`, those where it is found in a case.

        It is a regular expression, looked for in place, group, description and request, or a case's number.
        """
        by_group: dict[str, list[Case]] = {}
        for case in self.cases:
            by_group.setdefault(case.group, []).append(case)
        wanted = re.compile(pattern, re.IGNORECASE) if pattern else None
        for name, cases in by_group.items():
            if wanted is None or any(_matches(wanted, case) for case in cases):
                yield name, sorted(cases, key=lambda case: case.seq)


def read(path: Path) -> Suite:
    """Read a file of cases. Raises `msgspec.ValidationError` where one has not the shape above."""
    text = path.read_text(encoding="utf-8")
    for theirs, ours in ROLES.items():
        text = text.replace(theirs, ours)
    return msgspec.json.decode(text, type=Suite)


def in_runs(groups: Iterable[tuple[str, list[Case]]], key: Any) -> dict[Any, list[list[Case]]]:
    """Put groups under the same `key` (of a case's config) together, so that each needs one server."""
    runs: dict[Any, list[list[Case]]] = {}
    for _, cases in groups:
        runs.setdefault(key(cases[0].config), []).append(cases)
    return runs


def _matches(wanted: re.Pattern[str], case: Case) -> bool:
    if wanted.pattern.isdecimal():
        return case.id == int(wanted.pattern)
    request = f"{case.method} {case.path}"
    return any(wanted.search(text) for text in (case.where, case.group, case.description, request))


def _signed(claims: str, secret: bytes, now: int) -> str:
    filled: Mapping[str, Any] = _with_time(json.loads(claims), now)
    return jwt.encode({"alg": "HS256"}, dict(filled), OctKey.import_key(secret))


def _with_time(value: Any, now: int) -> Any:
    if isinstance(value, dict):
        return {name: _with_time(inner, now) for name, inner in value.items()}
    if isinstance(value, str) and (match := _NOW.fullmatch(value)):
        return now + int(match[1] or 0)
    return value

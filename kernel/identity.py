"""Who a request speaks for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

_NO_CLAIMS: Mapping[str, Any] = MappingProxyType({})


class Identity(msgspec.Struct, frozen=True):
    """A verified caller.

    `role` is the database role rights are granted to (``anon``, ``authenticated``, ``service_role`` or a
    project's own), `subject` the user's id (the token's ``sub``) where there is one, `claims` the verified
    token's claims.
    """

    role: str
    subject: str | None = None
    claims: Mapping[str, Any] = _NO_CLAIMS

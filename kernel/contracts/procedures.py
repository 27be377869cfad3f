"""Procedures: functions in Python that clients call as they call those of the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec


class Procedure(msgspec.Struct, frozen=True):
    """A function in Python under the name of a function of the database, over REST at ``/rest/v1/rpc/<name>``.

    Its arguments are the parameters of `call`, by name, each annotated: ``int`` is a ``bigint``, ``str`` a ``text``,
    and so on for ``bool``, ``float``, ``Decimal``, ``UUID``, ``datetime``, ``date``, ``time`` and lists of these; what
    else msgspec decodes is a ``jsonb``. A parameter `transaction` is given the `Transaction` of the call, with the
    caller's rights, and `identity` the caller. What it returns says the annotation: a value of those types; a
    ``msgspec.Struct``, which is a row; a list of either, which is a set; None.

    Who acts as one of `roles` may call it (``public`` is everyone); the service role always may. One that is not
    ``volatile`` is called by GET as well, and cannot write. `name` is by default that of `call`, `comment` its
    docstring. It raises `kernel.Veto` or a `DatabaseError` to refuse: the client reads why, and nothing stays.
    """

    call: Callable[..., Any]
    roles: tuple[str, ...] = ()
    name: str | None = None
    schema: str = "public"
    volatility: Literal["immutable", "stable", "volatile"] = "volatile"
    comment: str | None = None

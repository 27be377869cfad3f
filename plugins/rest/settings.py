"""What can be set of the REST API."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from plugins.rest.errors import Verbosity


class RestSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the REST API."""

    schemas: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            min_length=1, description="The schemas it shows; the first one where a request names none."
        ),
    ] = ("public",)
    max_rows: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None,
        msgspec.Meta(
            description="The most rows that one read answers with, and the most related rows of each."
        ),
    ] = None
    aggregates: Annotated[
        bool,
        msgspec.Meta(description="Whether a selection may sum up, average and count; that reads many rows."),
    ] = False
    embedding_depth: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=20)],
        msgspec.Meta(description="How deep related rows may nest inside one another."),
    ] = 10
    tx_end: Annotated[
        Literal["commit", "commit-allow-override", "rollback", "rollback-allow-override"],
        msgspec.Meta(
            description="How writes end, and whether a client may have it otherwise (`Prefer: tx=rollback`)."
        ),
    ] = "commit"
    import_bytes: Annotated[
        int, msgspec.Meta(ge=1, description="The largest body of an import, in bytes.")
    ] = 1 << 30
    idempotency_seconds: Annotated[
        float,
        msgspec.Meta(
            gt=0, description="How long a write with an `Idempotency-Key` is answered again, in seconds."
        ),
    ] = 86_400.0
    extra_search_path: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="The schemas in which names are looked for after that of a request (PostgreSQL)."
        ),
    ] = ("public",)
    pre_request: Annotated[
        Annotated[str, msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(
            description="A function (`schema.name`, or a name looked for in a request's schema) that is called "
            "before the statements of each request (PostgreSQL)."
        ),
    ] = None
    error_verbosity: Annotated[
        Verbosity,
        msgspec.Meta(
            description="Whether errors tell `details` and a `hint`, or (`minimal`) code and message alone."
        ),
    ] = "verbose"
    plans: Annotated[
        bool,
        msgspec.Meta(
            description="Whether a client may ask for the plan of its statement "
            "(`application/vnd.pgrst.plan`, PostgreSQL); that tells much of the database."
        ),
    ] = False
    server_timing: Annotated[
        bool, msgspec.Meta(description="Whether answers tell how long their parts took (`Server-Timing`).")
    ] = False
    openapi: Annotated[
        Literal["follow-privileges", "ignore-privileges", "disabled"],
        msgspec.Meta(
            description="Whether the root describes the schema: what the caller may use, or all of it."
        ),
    ] = "follow-privileges"

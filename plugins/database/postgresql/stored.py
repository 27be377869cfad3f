"""How PostgreSQL keeps its own types: by itself; the templates are casts."""

from __future__ import annotations

from kernel.contracts.stored import StoredType

# The server's own word on what a name means, written so that it can stand in a cast; NULL for what is no type.
CANONICAL = "select format_type(to_regtype(:name), -1)"

_UNORDERED = frozenset({"json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle"})


def describe(name: str, base: str) -> StoredType:
    """Return the contract's description of a declared type; `base` is the server's name for it without modifier.

    A value is cast to the type without its modifier, since an explicit cast to ``varchar(3)`` cuts off what an
    assignment refuses.
    """
    read = f"({{}})::{base}"
    return StoredType(
        type=name,
        to_json="{}",
        to_text="({})::text",
        from_text=read,
        assign_text=read,
        assign_json=_from_json(base),
        ordered=base not in _UNORDERED,
        comparable=base not in _UNORDERED,
    )


def _from_json(base: str) -> str:
    if base in ("json", "jsonb"):
        return f"nullif(({{}})::text, 'null')::{base}"
    if base.endswith("[]"):
        elements = "array(select e from jsonb_array_elements_text(v) e)"
        member = "(select nullif(({})::jsonb, 'null')) _(v)"
        return f"(select case when v is not null then {elements}::{base} end from {member})"  # noqa: S608 - see `describe`
    return f"(({{}})::jsonb #>> array[]::text[])::{base}"

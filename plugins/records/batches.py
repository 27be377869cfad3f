"""Inserts in parts whose rows all have the same columns."""

from __future__ import annotations

import msgspec

from kernel.contracts.queries import Insert

_decode_rows = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_encode = msgspec.json.Encoder().encode


def batches(insert: Insert) -> list[Insert]:
    """Split an insert into those whose rows all have the same columns, in order; usually it is one."""
    if not insert.size:
        return []
    if not insert.defaults or not insert.columns:
        return [insert]
    conflict = insert.conflict
    if conflict is not None:
        conflict = msgspec.structs.replace(conflict, merged=insert.columns)
    found: list[tuple[tuple[str, ...], list[dict[str, msgspec.Raw]]]] = []
    for row in _decode_rows(insert.rows):
        columns = tuple(name for name in insert.columns if name in row)
        if not found or found[-1][0] != columns:
            found.append((columns, []))
        found[-1][1].append(row)
    return [
        msgspec.structs.replace(
            insert, columns=columns, rows=_encode(rows).decode(), size=len(rows), conflict=conflict
        )
        for columns, rows in found
    ]

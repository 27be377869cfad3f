"""The limit of a list on SQLite, a bare Granian handler: ``python -m benchmarks.rest.bare_sqlite PORT FILE OWNER``.

It knows no router, hooks, tokens or log. Several processes share a port.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import apsw
from granian.server.embed import Server

HEADERS = [("content-type", "application/json; charset=utf-8")]
LIST = """
select count(*), '[' || coalesce(group_concat(j, ','), '') || ']' from (
    select json_object('id', id, 'title', title, 'price', price, 'owner', owner, 'created', created,
        'done', json(case done when 1 then 'true' when 0 then 'false' end)) as j
    from items where owner = :owner order by id desc limit 30)
"""


async def main(port: int, file: str, owner: str) -> None:
    """Serve until killed."""
    connection = apsw.Connection(file)
    params = {"owner": owner}

    async def answer(scope: Any, protocol: Any) -> None:
        if scope.path == "/healthz":
            protocol.response_empty(200, [])
            return
        ((_, body),) = connection.execute(LIST, params).fetchall()
        protocol.response_bytes(200, HEADERS, str(body).encode())

    await Server(answer, port=port, log_enabled=False).serve()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:4]))

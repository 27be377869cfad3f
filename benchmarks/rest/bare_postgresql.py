"""The limit of a list on PostgreSQL, a bare handler: ``python -m benchmarks.rest.bare_postgresql PORT URL OWNER``.

It knows no router, hooks, tokens or log. A request takes one of ten connections and sends BEGIN, the role and the
claims, the query and COMMIT, all prepared, in one pipeline of libpq's. Several processes share a port.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import psycopg
from granian.server.embed import Server
from psycopg.pq import ExecStatus

CONNECTIONS = 10
HEADERS = [("content-type", "application/json; charset=utf-8")]
STATEMENTS = {
    b"begin": b"begin read only",
    b"assume": b"select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)",
    b"commit": b"commit",
}
LIST = b"""
select coalesce(json_agg(t), '[]')::text from (
    select id, title, price, done, owner, created from items order by id desc limit 30) t
"""


class Connection:
    """A connection in pipeline mode, read by the event loop."""

    def __init__(self, url: str, who: list[bytes | None]) -> None:
        self._psycopg = psycopg.connect(url, autocommit=True)
        self._libpq: Any = self._psycopg.pgconn
        self._who = who
        for name, text in STATEMENTS.items():
            self._libpq.prepare(name, text)
        self._psycopg.execute("select set_config('role', 'authenticated', false)")
        self._libpq.prepare(b"list", LIST)
        self._psycopg.execute("reset role")
        self._libpq.enter_pipeline_mode()
        self._libpq.nonblocking = 1
        self._readable = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._libpq.socket, self._readable.set)

    async def rows(self) -> bytes:
        """Return the list."""
        send = self._libpq.send_query_prepared
        send(b"begin", None)
        send(b"assume", self._who)
        send(b"list", None)
        send(b"commit", None)
        self._libpq.pipeline_sync()
        while self._libpq.flush():
            await asyncio.sleep(0)
        body = b""
        while True:
            while self._libpq.is_busy():
                self._readable.clear()
                await self._readable.wait()
                self._libpq.consume_input()
            result = self._libpq.get_result()
            if result is None:
                continue
            if result.status == ExecStatus.PIPELINE_SYNC:
                return body
            if result.status == ExecStatus.TUPLES_OK:
                body = result.get_value(0, 0) or b""
            elif result.status != ExecStatus.COMMAND_OK:
                raise RuntimeError(result.error_message)


async def main(port: int, url: str, owner: str) -> None:
    """Serve until killed."""
    who = [b"authenticated", json.dumps({"role": "authenticated", "sub": owner}).encode()]
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(Connection(url, list(who)))

    async def answer(scope: Any, protocol: Any) -> None:
        if scope.path == "/healthz":
            protocol.response_empty(200, [])
            return
        connection = await free.get()
        try:
            body = await connection.rows()
        finally:
            free.put_nowait(connection)
        protocol.response_bytes(200, HEADERS, body)

    await Server(answer, port=port, log_enabled=False).serve()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:4]))

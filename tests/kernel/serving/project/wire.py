"""A plugin whose routes show everything a server has to carry."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec

from kernel import (
    FileBody,
    HTTPError,
    Plugin,
    Request,
    Response,
    Route,
    Upload,
    WebSocket,
    WebSocketRoute,
    hookimpl,
    nonblocking,
)
from kernel.http import TooLong

PIECE = b"0123456789abcdef" * 4096
VERSION = 1


class Item(msgspec.Struct):
    name: str


class WirePlugin(Plugin):
    """Bodies in and out, streams and sockets."""

    name = "wire"

    @hookimpl
    def kernel_routes(self) -> Iterator[Route | WebSocketRoute]:
        big = {"max_body_bytes": 1 << 30}
        yield Route("GET", "/plain", self.plain)
        yield Route("GET", "/inline", self.inline, inline=True)
        yield Route("GET", "/long", self.long, inline=True)
        yield Route("GET", "/async", self.on_loop)
        yield Route("GET", "/version", self.version)
        yield Route("GET", "/headers", self.headers)
        yield Route("GET", "/fail", self.fail)
        yield Route("POST", "/item", self.item)
        yield Route("POST", "/bytes", self.size)
        yield Route("POST", "/spooled", self.spooled, **big)
        yield Route("POST", "/pieces", self.pieces, **big)
        yield Route("GET", "/file", self.file)
        yield Route("GET", "/few", self.few)
        yield Route("GET", "/few-inline", self.few, inline=True)
        yield Route("GET", "/many", self.many)
        yield Route("GET", "/whole", self.whole)
        yield Route("GET", "/whole-inline", self.whole, inline=True)
        yield Route("GET", "/breaks-at-once", self.breaks_at_once)
        yield Route("GET", "/breaks-late", self.breaks_late)
        yield Route("GET", "/live", self.live)
        yield Route("GET", "/flood", self.flood)
        yield Route("GET", "/status", self.status)
        yield Route("GET", "/header", self.header)
        yield Route("GET", "/slow", self.slow)
        yield Route("GET", "/slow-on-loop", self.slow_on_loop)
        yield WebSocketRoute("/echo", self.echo)
        yield WebSocketRoute("/named/{name}", self.named)
        yield WebSocketRoute("/push", self.push)
        yield WebSocketRoute("/broken", self.broken)

    @hookimpl
    @nonblocking
    def kernel_before_request(self, request: Request) -> Response | None:
        if request.query == "refuse":
            raise HTTPError(401, "no entry")
        return None

    @hookimpl
    @nonblocking
    def kernel_request_done(self, request: Request, response: Response) -> None:
        if request.path.startswith("/breaks"):
            self.note(f"{request.path} done {response.status}")

    @hookimpl
    def kernel_stop(self) -> None:
        self.note("stopped")

    def note(self, text: str) -> None:
        with (self.kernel.config.project / "notes.txt").open("a") as file:
            file.write(text + "\n")

    def plain(self, request: Request) -> dict[str, Any]:
        return {"pid": os.getpid(), "thread": threading.current_thread().name}

    def inline(self, request: Request) -> dict[str, Any]:
        return {"pid": os.getpid(), "thread": threading.current_thread().name}

    def long(self, request: Request) -> dict[str, Any]:
        if request.inline:
            raise TooLong
        if request.query:
            self.note("long began")
            time.sleep(float(request.query))
        niceness = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        loop = os.getpriority(os.PRIO_PROCESS, os.getpid())
        return {"thread": threading.current_thread().name, "stepped_back": niceness - loop}

    async def on_loop(self, request: Request) -> dict[str, Any]:
        return {"pid": os.getpid(), "thread": threading.current_thread().name}

    def version(self, request: Request) -> int:
        return VERSION

    def headers(self, request: Request) -> dict[str, Any]:
        return {
            "path": request.path, "query": request.query_items, "host": request.host, "scheme": request.scheme,
            "peer": request.peer, "all": sorted(request.headers.items()),
        }  # fmt: skip

    def fail(self, request: Request) -> None:
        raise RuntimeError("secret text")

    def item(self, request: Request, body: Item) -> Item:
        self.note(f"item {body.name}")
        return body

    def size(self, request: Request, body: bytes) -> int:
        self.note(f"bytes {len(body)}")
        return len(body)

    def spooled(self, request: Request, body: Upload) -> int:
        size = 0
        while piece := body.file.read(1 << 16):
            size += len(piece)
        self.note(f"spooled {size}")
        return size

    async def pieces(self, request: Request, body: Upload) -> int:
        size = 0
        async for piece in body:
            size += len(piece)
        self.note(f"pieces {size}")
        return size

    def file(self, request: Request) -> Response:
        start, _, end = request.query.partition("-")
        path = Path(__file__)
        return Response(
            FileBody(path, int(start or 0), int(end) if end else None, lambda: self.note("lent file back"))
        )

    def few(self, request: Request) -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    def many(self, request: Request) -> Response:
        pieces = int(request.query or "1600")
        return Response((PIECE for _ in range(pieces)), content_type="text/plain")

    def whole(self, request: Request) -> bytes:
        return b"x" * int(request.query)

    def breaks_at_once(self, request: Request) -> Iterator[bytes]:
        raise RuntimeError("secret text")
        yield b""

    def breaks_late(self, request: Request) -> Iterator[bytes]:
        yield PIECE * 8
        raise RuntimeError("secret text")

    def live(self, request: Request) -> Response:
        return Response(self._ticks(), content_type="text/event-stream")

    async def _ticks(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: tick\n\n"
                await asyncio.sleep(0.02)
        finally:
            self.note("stream closed")

    async def flood(self, request: Request) -> AsyncIterator[bytes]:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(3200):
                yield PIECE
            self.note("flood over")

        return pieces()

    def status(self, request: Request) -> Response:
        return Response(status=int(request.query))

    def header(self, request: Request) -> Response:
        return Response(b"x", headers={"x-a": {"surrogate": "\udc80", "lines": "a\r\nx-b: b"}[request.query]})

    def slow(self, request: Request) -> str:
        self.note("slow began")
        time.sleep(float(request.query))
        self.note("slow ended")
        return "slow"

    async def slow_on_loop(self, request: Request) -> str:
        self.note("slow began")
        await asyncio.sleep(float(request.query))
        return "slow"

    async def echo(self, socket: WebSocket) -> None:
        async for message in socket:
            await socket.send(message)
        self.note("echo ended")

    async def named(self, socket: WebSocket, name: str) -> None:
        await socket.send(name)

    async def push(self, socket: WebSocket) -> None:
        await socket.send("hello")
        try:
            await asyncio.Event().wait()
        finally:
            self.note("push ended")

    async def broken(self, socket: WebSocket) -> None:
        raise RuntimeError("secret text")

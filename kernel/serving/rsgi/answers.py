"""Response bodies over RSGI: files, bodies made piece by piece, live streams."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeGuard

from granian._granian import RSGIProtocolClosed, RSGIProtocolError

from kernel.http import Body, FileBody, NotInline, Request, Response
from kernel.serving.rsgi.outlet import Outlet

# A body made piece by piece is sent from memory up to here; what is larger is spooled to disk, since Granian
# would keep all of it in memory for a client that does not read.
SPOOL_BYTES = 256 * 1024
# Bytes are sent from memory up to here, and else by way of such a file too. For a client that reads, that adds some
# 2 ms to a list of 1 or 2 MB, which takes 5 to 10, and 20 ms to one of 10 MB, which takes 40.
LARGE_BYTES = 1 << 20
# Granian opens a file after the call that names it has returned. It does so at once, whatever the client does.
OPENED_SECONDS = 5.0
# So much of a live stream goes out before it is asked whether the client keeps up; most streams never get there.
AHEAD_BYTES = 64 * 1024

_log = logging.getLogger("kernel.serving")


def begin_inline(body: Body) -> Body:
    """Leave a live stream as it is; what else is made piece by piece is made on a thread, by another call."""
    if isinstance(body, AsyncIterable):
        return body
    close = getattr(body, "close", None)
    if close is not None:
        close()
    raise NotInline


def is_large(body: Body) -> TypeGuard[bytes]:
    """Tell whether a body is of so many bytes that clients who do not read them would fill the memory."""
    return isinstance(body, bytes) and len(body) > LARGE_BYTES


class Answers:
    """Sends what is more than bytes; `run` awaits a function on a thread, `folder` holds spooled bodies, unlinked."""

    def __init__(self, run: Callable[..., Any], folder: str) -> None:
        self._run = run
        self._folder = folder
        self._loop = asyncio.get_running_loop()
        self._streams: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """End every live stream."""
        for stream in self._streams:
            stream.cancel()

    def file(self, protocol: Any, response: Response, body: FileBody) -> None:
        """Let Granian send a file, or a part of one."""
        headers = [*response.headers, ("content-length", str(body.end - body.start))]
        if body.start >= body.end:
            protocol.response_empty(response.status, headers)
        else:
            protocol.response_file_range(response.status, headers, str(body.path), body.start, body.end)
        if body.close is not None:
            self._loop.call_later(OPENED_SECONDS, body.close)

    def begin(self, body: Body) -> Body:
        """Make all of an iterable, on a thread; a live stream is begun when it is sent."""
        if isinstance(body, bytes | FileBody | AsyncIterable):
            return body
        made = self._spool(body)
        if isinstance(made, bytes):
            return made
        return FileBody(Path(f"/dev/fd/{made.fileno()}"), 0, made.tell(), made.close)

    def _spool(self, pieces: Iterable[bytes]) -> Any:
        """Draw an iterable: return bytes if they are few, or else an unlinked file positioned at its end."""
        few: list[bytes] = []
        size = 0
        iterator = iter(pieces)
        try:
            for piece in iterator:
                few.append(piece)
                size += len(piece)
                if size > SPOOL_BYTES:
                    break
            else:
                return b"".join(few)
            file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed once it is open elsewhere
            try:
                file.writelines(few)
                file.writelines(iterator)
                file.flush()
            except BaseException:
                file.close()
                raise
            return file
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    async def stream(self, scope: Any, protocol: Any, request: Request, response: Response) -> None:
        """Send a live stream, until it ends, its client goes, or the server stops."""
        stream = asyncio.ensure_future(self._pump(scope.client, protocol, request, response))
        gone = asyncio.ensure_future(protocol.client_disconnect())
        self._streams.add(stream)
        try:
            await asyncio.wait((stream, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            stream.cancel()
            await asyncio.wait((stream,))
            self._streams.discard(stream)

    async def _pump(self, client: str, protocol: Any, request: Request, response: Response) -> None:
        """Send a live stream's pieces as they come, and wait for a client that does not keep up."""
        assert isinstance(response.body, AsyncIterable)  # noqa: S101 - asked by the caller
        iterator = aiter(response.body)
        transport = protocol.response_stream(response.status, response.headers)
        outlet: Outlet | None = None
        ahead = 0
        try:
            async for piece in iterator:
                if not piece:
                    continue
                await transport.send_bytes(piece)
                ahead += len(piece)
                if ahead > AHEAD_BYTES:
                    outlet = outlet or await self._run(Outlet.to, client)
                    if outlet is not None:
                        await outlet.writable()
                    ahead = 0
        except (RSGIProtocolClosed, RSGIProtocolError):
            pass  # the client has gone
        except Exception:
            _log.exception("stream failed", extra={"request": request.id})
        finally:
            if outlet is not None:
                outlet.close()
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()

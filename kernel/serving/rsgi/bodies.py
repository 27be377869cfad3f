"""Request bodies as they come over RSGI: bounded, timed, and known to be whole."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from granian._granian import RSGIProtocolError

from kernel.http import HTTPError, Request
from kernel.serving.uploads import SPOOL_BYTES, SpooledUpload

# A refused body is read on up to here, as long as its pieces come this soon one after another.
LINGER_BYTES = 4 << 20
LINGER_SECONDS = 0.2
# A client may send a few empty frames; a stream that was reset gives nothing else.
MOST_EMPTY = 100


class BodyReader:
    """Reads bodies; `run` awaits a function on a thread, `folder` holds spooled uploads, unlinked at once."""

    def __init__(self, run: Callable[..., Any], folder: str, timeout_seconds: float) -> None:
        self._run = run
        self._folder = folder
        self._timeout = timeout_seconds

    async def pieces(
        self, protocol: Any, expected: int | None, limit: int, too_large: Callable[[], HTTPError]
    ) -> AsyncIterator[bytes]:
        """Yield a body's pieces; raises `HTTPError` 408 for a stalled, 413 for a long, 400 for a broken one.

        Granian ends the iteration of a broken body like that of a whole one. A declared length tells them apart;
        without one, the empty pieces do: a whole body ends with one, a broken one has one more. Over HTTP/2, a
        stream that was reset has no end of them.
        """
        if expected == 0:
            return
        received = empty = 0
        iterator = protocol.__aiter__()
        while True:
            try:
                async with asyncio.timeout(self._timeout):
                    piece = await iterator.__anext__()
            except StopAsyncIteration:
                break
            except TimeoutError:
                raise HTTPError(408, f"no more of the body came for {self._timeout:g} seconds") from None
            if not piece:
                empty += 1
                if empty > MOST_EMPTY:
                    break
                continue
            received += len(piece)
            if received > limit:
                raise too_large()
            yield piece
        if (received != expected) if expected is not None else (empty != 1):
            raise HTTPError(400, f"the body broke off after {received} bytes")

    async def discard(self, protocol: Any) -> None:
        """Read what is still to come of a refused body, if that is little and comes soon.

        A connection that is closed with unread data is reset, and the client would lose the answer.
        """
        try:
            iterator = protocol.__aiter__()
        except RSGIProtocolError:
            iterator = protocol  # it has been begun
        left = LINGER_BYTES
        with suppress(TimeoutError, StopAsyncIteration):
            while left > 0:
                async with asyncio.timeout(LINGER_SECONDS):
                    left -= len(await iterator.__anext__()) or LINGER_BYTES // MOST_EMPTY

    async def whole(self, pieces: AsyncIterator[bytes]) -> bytes:
        """Return a whole body."""
        return b"".join([piece async for piece in pieces])

    async def spooled(self, pieces: AsyncIterator[bytes]) -> SpooledUpload:
        """Return a whole body as a file positioned at its start; only a large one touches the disk."""
        file = tempfile.SpooledTemporaryFile(SPOOL_BYTES, dir=self._folder)  # noqa: SIM115 - closed with the request
        try:
            async for piece in pieces:
                if file.tell() + len(piece) > SPOOL_BYTES:
                    await self._run(file.write, piece)
                else:
                    file.write(piece)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return SpooledUpload(file)


def lingers(request: Request, scope: Any) -> bool:
    """Tell whether a refused request may have a body on its way that is worth reading."""
    get = request.headers.get
    length = get("content-length")
    if get("expect") is not None:
        return False
    if length is None:
        return get("transfer-encoding") is not None or scope.http_version == "2"
    return length.isdecimal() and 0 < int(length[:8]) <= LINGER_BYTES

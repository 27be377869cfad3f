"""Request bodies as they come over RSGI: bounded, timed, and known to be whole."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from typing import Any, BinaryIO

from kernel.http import HTTPError

# Up to here an upload is kept in memory; what is larger goes to disk.
SPOOL_BYTES = 256 * 1024


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
        without one, the empty pieces do: a whole body ends with one, a broken one has one more.
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
                continue
            received += len(piece)
            if received > limit:
                raise too_large()
            yield piece
        if (received != expected) if expected is not None else (empty != 1):
            raise HTTPError(400, f"the body broke off after {received} bytes")

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


class SpooledUpload:
    """An upload that is complete, for a plain handler."""

    def __init__(self, file: Any) -> None:
        self.file: BinaryIO = file

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise TypeError("a plain handler reads body.file; only an async handler iterates over the body")


class StreamedUpload:
    """An upload that is still coming in, for an async handler."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces

    @property
    def file(self) -> BinaryIO:
        """Not for async handlers."""
        raise TypeError("an async handler iterates over the body; only a plain handler reads body.file")

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

"""Bodies under WSGI: read whole and counted, streamed out, sent from files."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from kernel.dispatch import Dispatcher
from kernel.http import FileBody, HTTPError, Request, Upload
from kernel.routing import Route
from kernel.serving.uploads import SPOOL_BYTES, SpooledUpload, StreamedUpload

PIECE_BYTES = 64 * 1024

_log = logging.getLogger("kernel.serving")


def read_body(
    environ: dict[str, Any], request: Request, route: Route, dispatcher: Dispatcher, folder: Path
) -> bytes | Upload:
    """Return the body as the route wants it; raises `HTTPError` 400 for a broken one, 411, 413.

    Without a length, a body is only read where the server marks its end and tells a broken one: Granian's WSGI
    ends both alike.
    """
    expected = request.content_length
    if expected is None:
        if request.headers.get("transfer-encoding") is None:
            expected = 0
        elif not environ.get("wsgi.input_terminated") or environ.get("SERVER_SOFTWARE") == "Granian":
            raise HTTPError(411, "this server takes a body only with a Content-Length")
    pieces = _pieces(
        environ["wsgi.input"], expected, dispatcher.body_limit(route), lambda: dispatcher.too_large(route)
    )
    if route.body is not Upload:
        return b"".join(pieces)
    if route.is_async:
        return StreamedUpload(_awaited(pieces))
    file = tempfile.SpooledTemporaryFile(SPOOL_BYTES, dir=str(folder))  # noqa: SIM115 - closed with the request
    for piece in pieces:
        file.write(piece)  # writelines would take all of it into memory first
    file.seek(0)
    return SpooledUpload(file)


def _pieces(
    source: Any, expected: int | None, limit: int, too_large: Callable[[], HTTPError]
) -> Iterator[bytes]:
    received = 0
    while expected is None or received < expected:
        size = PIECE_BYTES if expected is None else min(PIECE_BYTES, expected - received)
        try:
            piece = source.read(size)
        except OSError as error:  # how gunicorn tells of a chunked body that broke off
            raise HTTPError(400, f"the body broke off after {received} bytes") from error
        if not piece:
            break
        received += len(piece)
        if received > limit:
            raise too_large()
        yield piece
    if expected is not None and received < expected:
        raise HTTPError(400, f"the body broke off after {received} of {expected} bytes")


async def _awaited(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    from kernel.serving.wsgi import in_thread

    while (piece := await in_thread(next, pieces, None)) is not None:
        yield piece


class Pieces:
    """A streamed body; its first piece is drawn on construction."""

    def __init__(self, iterator: Iterator[bytes], request_id: str) -> None:
        self._iterator = iterator
        self._request_id = request_id
        self._first: bytes | None = next(iterator, None)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._first is not None:
            piece, self._first = self._first, None
            return piece
        try:
            return next(self._iterator)
        except StopIteration:
            raise
        except Exception:
            # The status is out; the server breaks the connection off, so that the client does not take it for whole.
            _log.exception("stream failed", extra={"request": self._request_id})
            raise

    def close(self) -> None:
        """Let the body clean up; called by the server in every case."""
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()


class AsyncPieces:
    """An async iterable drawn from a thread; `run` runs a coroutine on the application's loop."""

    def __init__(self, pieces: Any, run: Callable[[Any], Any]) -> None:
        self._iterator = aiter(pieces)
        self._run = run

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = self._run(self._next())
        if piece is None:
            raise StopIteration
        return bytes(piece)

    def close(self) -> None:
        """Close the iterator on its loop."""
        close = getattr(self._iterator, "aclose", None)
        if close is not None:
            self._run(close())

    async def _next(self) -> bytes | None:
        return await anext(self._iterator, None)


class LentFile(io.FileIO):
    """A file, open where its part begins, that tells its lender when it is closed."""

    def __init__(self, body: FileBody) -> None:
        super().__init__(body.path)
        self.seek(body.start)
        self._lender = body.close

    def close(self) -> None:
        """Close the file."""
        super().close()
        lender, self._lender = self._lender, None
        if lender is not None:
            lender()


class FilePieces:
    """A part of a file, in pieces."""

    def __init__(self, file: LentFile, length: int) -> None:
        self._file = file
        self._left = length

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = self._file.read(min(PIECE_BYTES, self._left))
        if not piece:
            raise StopIteration
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def file_pieces(body: FileBody, wrapper: Callable[..., Iterable[bytes]] | None) -> Iterable[bytes]:
    """Return a file's part; the server sends it by its own means where it has any and the part is the file's end."""
    file = LentFile(body)
    if wrapper is not None and body.end == body.path.stat().st_size:
        return wrapper(file, PIECE_BYTES)
    return FilePieces(file, body.end - body.start)

"""Uploads as handlers get them, whatever server they came through; see `kernel.http.Upload`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, BinaryIO

# Up to here an upload is kept in memory; what is larger goes to disk.
SPOOL_BYTES = 256 * 1024


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

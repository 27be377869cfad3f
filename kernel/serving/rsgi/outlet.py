"""A connection's own socket, to learn from it whether the client keeps up.

Granian takes whatever is sent on a stream into memory, without a word on how much of it the client has read. But
its connections are this process's file descriptors: one that cannot be written just now belongs to a client that
has stopped reading.
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from stat import S_ISSOCK


class Outlet:
    """A duplicate of the socket that leads to one client; close it, or the connection stays open."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    @classmethod
    def to(cls, client: str) -> Outlet | None:
        """Return the outlet to a client, by its address as Granian writes it; None where there is none."""
        host, _, port = client.rpartition(":")
        address = (host.strip("[]"), int(port)) if port.isdecimal() else None
        for descriptor in Path("/dev/fd").iterdir():
            connection = _duplicate(int(descriptor.name))
            if connection is None:
                continue
            if _peer(connection) == address:
                return cls(connection)
            connection.close()
        return None

    async def writable(self) -> None:
        """Wait until the client has read enough for more to be sent."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_writer(self._connection, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_writer(self._connection)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()


def _duplicate(number: int) -> socket.socket | None:
    try:
        if not S_ISSOCK(os.fstat(number).st_mode):
            return None
        return socket.socket(fileno=os.dup(number))
    except OSError:  # closed since it was listed
        return None


def _peer(connection: socket.socket) -> tuple[str, int] | None:
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        host, port = connection.getpeername()[:2]
    except OSError:  # it listens, or its client has gone
        return None
    return host, port

"""Serves the bare RSGI callable on the server that `kernel serve` uses: ``python -m benchmarks.bare_rsgi PORT``."""

from __future__ import annotations

import asyncio
import sys

from granian.server.embed import Server

from benchmarks.peers import bare_rsgi


async def main(port: int) -> None:
    """Serve until killed."""
    await Server(bare_rsgi, port=port, log_enabled=False).serve()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

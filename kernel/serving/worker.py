"""A serving process under a supervisor: ``python -m kernel.serving.worker``, started by `kernel.serving.workers`."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from socket import socket
from typing import Any

import msgspec

from kernel.config import Config
from kernel.errors import KernelError
from kernel.serving.lifeline import Orders
from kernel.serving.supervisor import complain


def main(arguments: list[str]) -> int:
    """Serve as ordered; return the exit code."""
    gc.disable()  # until `run` has booted a kernel
    from kernel.serving.server import run

    orders = msgspec.json.decode(arguments[0], type=Orders)
    try:
        config = Config.load(Path(orders.project), os.environ)
        lifeline = socket(fileno=orders.lifeline)
        run(config, socket(fileno=orders.listener), on_ready=_announcement(orders), lifeline=lifeline)
    except KernelError as error:
        complain(error)
        return 1


def _announcement(orders: Orders) -> Callable[[Any], None] | None:
    if orders.on_ready is None:
        return None
    module, _, name = orders.on_ready.partition(":")
    announce = getattr(import_module(module), name)
    return lambda kernel: announce(kernel, orders.url)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

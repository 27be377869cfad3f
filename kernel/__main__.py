"""``python -m kernel``: the ``kernel`` command."""

from kernel.cli import main

main()

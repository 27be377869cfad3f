"""The ``kernel`` command; nothing but this function is imported before it runs."""

from __future__ import annotations


def main() -> None:
    """Run the command line of this process and exit with its code."""
    from kernel.cli.app import cli

    cli(prog_name="kernel")

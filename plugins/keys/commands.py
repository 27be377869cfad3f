"""``kernel keys``: look at the project's keys."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from plugins.keys.plugin import KeysPlugin


def keys_group(plugin: KeysPlugin) -> click.Group:
    """Return the commands, bound to a registered plugin."""

    @click.group("keys", help="The project's API keys.")
    def keys() -> None:
        pass

    @keys.command("show", help="Print the project's keys and its shared secret.")
    @click.option("--json", "as_json", is_flag=True, help="Print them as one JSON object.")
    def show(as_json: bool) -> None:
        service = plugin.open()
        shown = {
            "publishable_key": service.api_key("anon"),
            "secret_key": service.api_key("service_role"),
            "anon_key": service.legacy_key("anon"),
            "service_role_key": service.legacy_key("service_role"),
            "jwt_secret": service.secret().reveal(),
        }
        if as_json:
            click.echo(json.dumps(shown, indent=2))
            return
        if sys.stdout.isatty():
            click.secho(
                "All but publishable_key and anon_key are secrets: whoever has one can do anything.",
                fg="yellow",
                err=True,
            )
        for name, value in shown.items():
            click.echo(f"{name:17} {value}")

    return keys

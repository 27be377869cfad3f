"""``kernel policies``: list, explain and check what callers may do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from kernel.contracts.catalogue import Catalogue, Policy
from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.policies import Policies
from kernel.identity import Identity

if TYPE_CHECKING:
    from plugins.permissions.plugin import PermissionsPlugin


def policies_group(plugin: PermissionsPlugin) -> click.Group:
    """Return the commands, bound to a registered plugin."""

    @click.group("policies", help="Who may do what: grants, policies and row security.")
    def policies() -> None:
        pass

    @policies.command("list", help="List the grants and policies of all tables.")
    def list_() -> None:
        for line in listed(_database(plugin).catalogue):
            click.echo(line)
        plugin.kernel.stop()

    @policies.command("explain", help="Say whether a caller may do COMMAND on TABLE, and why.")
    @click.argument("command", type=click.Choice(["select", "insert", "update", "delete"]))
    @click.argument("table")
    @click.option("--role", default="authenticated", show_default=True, help="The caller's role.")
    @click.option("--user", help="The caller's id, as in auth.uid().")
    @click.option(
        "--row",
        "row",
        multiple=True,
        metavar="COLUMN=VALUE",
        help="The key of a row; repeat it for more columns.",
    )
    def explain(command: Any, table: str, role: str, user: str | None, row: tuple[str, ...]) -> None:
        schema, _, name = table.rpartition(".")
        key = dict(_pair(text) for text in row)
        asked = plugin.kernel.services[Policies]
        _database(plugin)
        try:
            decision = asked.explain(Identity(role, user), command, name, schema or "public", key=key or None)
        except DatabaseError as error:
            raise click.ClickException(error.message) from error
        finally:
            plugin.kernel.stop()
        click.echo(f"{'allowed' if decision.allowed else 'refused'}: {decision.reason}")
        for verdict in decision.verdicts:
            state = {None: "", True: ": holds", False: ": does not hold"}[verdict.holds]
            click.echo(f"  {described(verdict.policy)}{state}")
        if not decision.allowed:
            raise SystemExit(1)

    @policies.command("lint", help="Look for what is likely wrong; exits with 1 where there is anything.")
    def lint() -> None:
        from plugins.permissions.lint import findings

        found = list(findings(_database(plugin).catalogue))
        plugin.kernel.stop()
        for line in found:
            click.echo(line)
        if found:
            raise SystemExit(1)

    return policies


def listed(catalogue: Catalogue) -> Iterator[str]:
    """Yield lines that tell the rights on all tables but the kernel's own."""
    for _, table in sorted(catalogue.tables.items()):
        if table.schema == "kernel":
            continue
        state = "row security" if table.row_security else "no row security"
        yield f"{table.schema}.{table.name} ({table.kind}, {state})"
        for grant in table.grants:
            column = f" ({grant.column})" if grant.column else ""
            yield f"  grant {grant.privilege}{column} to {grant.role}"
        yield from (f"  {described(policy)}" for policy in table.policies)


def described(policy: Policy) -> str:
    """Return a policy as one line."""
    kind = "" if policy.permissive else " restrictive"
    using = f" using ({policy.using})" if policy.using is not None else ""
    check = f" with check ({policy.check})" if policy.check is not None else ""
    return f"{policy.name}:{kind} for {policy.command} to {', '.join(policy.roles)}{using}{check}"


def _database(plugin: PermissionsPlugin) -> Database:
    _ = plugin.kernel.data  # made if need be: commands open the database without a start
    return plugin.kernel.services[Database]


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not COLUMN=VALUE")
    return name, value

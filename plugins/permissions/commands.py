"""``kernel policies``: list, explain and check what callers may do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from kernel.cli import output
from kernel.cli.base import Group, json_option
from kernel.contracts.catalogue import Catalogue, Policy, Table
from kernel.contracts.database import Database, DatabaseError
from kernel.contracts.policies import Decision, Policies
from kernel.contracts.schema import SchemaWork
from kernel.errors import KernelError, nearest
from kernel.identity import Identity
from plugins.permissions.errors import PermissionsError

if TYPE_CHECKING:
    from plugins.permissions.plugin import PermissionsPlugin

Complete = Callable[[click.Context, click.Parameter, str], list[str]]

_LISTED = {
    "table": "Table",
    "row_security": "Row security",
    "right": "Right",
    "roles": "Roles",
    "detail": "What",
}
_VERDICTS = {"policy": "Policy", "command": "For", "row": "Row", "holds": "Holds", "detail": "What"}
_FOUND = {"table": "Table", "problem": "Problem", "statement": "Mend it by"}


def policies_group(plugin: PermissionsPlugin) -> click.Group:
    """Return the commands, bound to a registered plugin."""

    @click.group(
        "policies",
        cls=Group,
        examples=("kernel policies list", "kernel policies explain select posts --user ID"),
    )
    def policies() -> None:
        """Say who may do what: grants, policies and row security."""

    @policies.command(
        "list", examples=("kernel policies list", "kernel policies list --json | jq '.[].roles'")
    )
    @json_option
    def list_(as_json: bool) -> None:
        """List the grants and policies of all tables but the kernel's own."""
        with _opened(plugin) as database:
            rows = list(listed(database.catalogue))
        output.table(
            rows,
            _LISTED,
            as_json=as_json,
            empty="There are no tables yet; make one by: kernel migrate new NAME",
        )

    _add_explain(policies, plugin)
    _add_lint(policies, plugin)
    return policies


def _add_explain(group: Group, plugin: PermissionsPlugin) -> None:
    @group.command(
        "explain",
        examples=(
            "kernel policies explain select posts --user ID --row id=1",
            "kernel policies explain update posts --user ID --row id=1 --set title=new",
            "kernel policies explain insert posts --role anon --row title=new",
        ),
    )
    @click.argument("command", type=click.Choice(["select", "insert", "update", "delete"]))
    @click.argument("table", shell_complete=_completing(plugin, _tables))
    @click.option(
        "--role",
        default="authenticated",
        show_default=True,
        shell_complete=_completing(plugin, lambda catalogue: catalogue.roles),
        help="The caller's role.",
    )
    @click.option("--user", help="The caller's id, as in auth.uid().")
    @click.option(
        "--claim", "claims", multiple=True, metavar="NAME=VALUE", help="A claim of the token; repeatable."
    )
    @click.option(
        "--row",
        "row",
        multiple=True,
        metavar="COLUMN=VALUE",
        help="The key of the row that is there, or, for an insert, the new row; a COLUMN alone is null. Repeatable.",
    )
    @click.option(
        "--set",
        "changes",
        multiple=True,
        metavar="COLUMN=VALUE",
        help="A new value of an update. Repeatable.",
    )
    @json_option
    def explain(
        command: Any,
        table: str,
        role: str,
        user: str | None,
        claims: tuple[str, ...],
        row: tuple[str, ...],
        changes: tuple[str, ...],
        as_json: bool,
    ) -> None:
        """Say whether a caller may do COMMAND on TABLE, and which grants and policies decide that.

        The exit code is 1 where it is refused. Nothing is changed.
        """
        if changes and command != "update":
            raise click.UsageError("--set is for an update; an insert takes its values by --row")
        given = _pairs(row)
        key, new = (None, given or None) if command == "insert" else (given or None, _pairs(changes) or None)
        if new and command == "update" and key is None:
            raise click.UsageError("say by --row which row --set would change, like: --row id=1")
        identity = Identity(role, user, _pairs(claims))
        with _opened(plugin) as database:
            found = _find(database.catalogue, table)
            decision = plugin.kernel.services[Policies].explain(
                identity, command, found.name, found.schema, key=key, row=new
            )
        _tell(decision, as_json)
        if not decision.allowed:
            sys.exit(1)


def _tell(decision: Decision, as_json: bool) -> None:
    verdicts = [
        {
            "policy": one.policy.name,
            "permissive": one.policy.permissive,
            "command": one.command,
            "row": "new" if one.new else "there",
            "holds": one.holds,
            "detail": described(one.policy),
        }
        for one in decision.verdicts
    ]
    grants = [{"role": one.role, "privilege": one.privilege, "column": one.column} for one in decision.grants]
    if output.wants_json(as_json):
        output.json(
            {"allowed": decision.allowed, "reason": decision.reason, "grants": grants, "verdicts": verdicts}
        )
        return
    output.say(f"{'allowed' if decision.allowed else 'refused'}: {decision.reason}")
    for one in grants:
        column = f" ({one['column']})" if one["column"] else ""
        output.say(f"  grant {one['privilege']}{column} to {one['role']}")
    if verdicts:
        output.draw(verdicts, _VERDICTS, {"yes": "green", "no": "red"})


def _add_lint(group: Group, plugin: PermissionsPlugin) -> None:
    @group.command(
        "lint", examples=("kernel policies lint", "kernel policies lint --json | jq -r '.[].statement'")
    )
    @json_option
    def lint(as_json: bool) -> None:
        """Look for what is likely wrong with grants and policies, and say the statement that mends it.

        The exit code is 1 where there is anything.
        """
        from plugins.permissions.lint import findings

        with _opened(plugin) as database:
            rows = list(findings(database, plugin.kernel.services[SchemaWork]))
        output.table(rows, _FOUND, as_json=as_json, empty="Nothing is wrong.")
        if rows:
            sys.exit(1)


def listed(catalogue: Catalogue) -> Iterator[dict[str, Any]]:
    """Yield a row for each grant and policy, and one for each table that has none."""
    for _, table in sorted(catalogue.tables.items()):
        if table.schema == "kernel":
            continue
        about = {
            "table": f"{table.schema}.{table.name}",
            "kind": table.kind,
            "row_security": table.row_security,
        }
        rights = [*_grants(table), *_policies(table)]
        for right in rights or [
            {"right": "none", "roles": [], "detail": "only service_role may do anything"}
        ]:
            yield {**about, **right}


def _grants(table: Table) -> Iterator[dict[str, Any]]:
    for role in dict.fromkeys(grant.role for grant in table.grants):
        columns: dict[str, list[str | None]] = {}
        for grant in table.grants:
            if grant.role == role:
                columns.setdefault(grant.privilege, []).append(grant.column)
        told = [
            name if None in some else f"{name} ({', '.join(map(str, some))})"
            for name, some in columns.items()
        ]
        yield {"right": "grant", "roles": [role], "detail": ", ".join(told)}


def _policies(table: Table) -> Iterator[dict[str, Any]]:
    for policy in table.policies:
        yield {
            "right": "policy",
            "roles": list(policy.roles),
            "detail": described(policy),
            "policy": policy.name,
            "command": policy.command,
            "permissive": policy.permissive,
            "using": policy.using,
            "check": policy.check,
        }


def described(policy: Policy) -> str:
    """Return a policy as one line."""
    kind = "" if policy.permissive else " restrictive"
    using = f" using ({policy.using})" if policy.using is not None else ""
    check = f" with check ({policy.check})" if policy.check is not None else ""
    return f"{policy.name}:{kind} for {policy.command} to {', '.join(policy.roles)}{using}{check}"


def _find(catalogue: Catalogue, name: str) -> Table:
    """Return the table of a name as in SQL; raises `PermissionsError` with the nearest one."""
    schema, _, plain = name.rpartition(".")
    found = catalogue.table(plain, schema or "public")
    if found is None:
        known = _tables(catalogue)
        raise PermissionsError(f"there is no table {name!r}{nearest(name, known)}; see: kernel policies list")
    return found


def _tables(catalogue: Catalogue) -> list[str]:
    """Return the tables and views as SQL names them, without the kernel's own."""
    return [
        f"{schema}.{name}".removeprefix("public.") for schema, name in catalogue.tables if schema != "kernel"
    ]


def _completing(plugin: PermissionsPlugin, offered: Callable[[Catalogue], Iterable[str]]) -> Complete:
    """Return what offers a shell words out of the catalogue."""

    def complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        found: list[str] = []
        # A shell that asks has no place to show an error; the command will say it.
        with suppress(KernelError), _opened(plugin) as database:
            found += sorted(word for word in offered(database.catalogue) if word.startswith(incomplete))
        return found

    return complete


@contextmanager
def _opened(plugin: PermissionsPlugin) -> Iterator[Database]:
    """Open the database without a start; what it refuses is said in one line."""
    _ = plugin.kernel.data  # made if need be
    try:
        yield plugin.kernel.services[Database]
    except DatabaseError as error:
        hint = (
            "; see the columns and keys by: kernel policies list"
            if error.sqlstate in ("42703", "02000")
            else ""
        )
        raise PermissionsError(f"{error}{hint}") from error
    finally:
        plugin.kernel.stop()


def _pairs(texts: tuple[str, ...]) -> dict[str, str | None]:
    """Return what is written as NAME=VALUE; a name alone is null."""
    found: dict[str, str | None] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise click.BadParameter(f"{text!r} is not COLUMN=VALUE")
        found[name] = value if equals else None
    return found

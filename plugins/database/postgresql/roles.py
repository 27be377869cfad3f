"""CREATE ROLE and DROP ROLE where roles belong to the whole server, and other databases of it may have the same ones.

A database that has made a role holds a privilege for it, on a sequence that says nothing. So the server itself knows
who has made it: it is made where it is missing, taken over where another database has made it, and dropped by the last
one. All of that is safe beside others that do the same.
"""

from __future__ import annotations

from kernel.contracts.catalogue import STANDARD_ROLES
from kernel.contracts.database import DatabaseError
from plugins.database import parser
from plugins.database.parser import Node
from plugins.database.postgresql.session import Session
from plugins.database.postgresql.statements import Statement

_ATTRIBUTES = {
    "superuser": "rolsuper", "createdb": "rolcreatedb", "createrole": "rolcreaterole", "inherit": "rolinherit",
    "canlogin": "rolcanlogin", "isreplication": "rolreplication", "bypassrls": "rolbypassrls",
}  # fmt: skip
_LOOK = Statement(
    b"""
    select exists (
            select from pg_class c, aclexplode(c.relacl) a
            where c.oid = to_regclass('kernel.schema_version') and a.grantee = r.oid
        ),
        rolsuper, rolcreatedb, rolcreaterole, rolinherit, rolcanlogin, rolreplication, rolbypassrls
    from pg_roles r where rolname = $1
    """,
    ("role",),
)
# What other databases hold is counted by them; what is shared by all (a database itself) is everyone's.
_NEEDED_HERE = Statement(
    b"""
    select exists (
        select from pg_shdepend d join pg_database b on b.datname = current_database()
        where d.refclassid = 'pg_authid'::regclass and d.refobjid = (select oid from pg_roles where rolname = $1)
            and d.dbid in (0, b.oid)
    )
    """,
    ("role",),
)

# It was made, or dropped, by somebody else between our look and our statement.
_OVERTAKEN = ("42710", "23505", "42704")
_TRIES = 10


def run(session: Session, statement: Statement, login: str | None) -> None:
    """Run a CREATE ROLE or DROP ROLE in the transaction that is open; raises `DatabaseError` as the server does.

    `login` is the runtime's where it is not the owner's: it becomes a member, so that it can take on the role.
    """
    ((kind, fields),) = parser.parse(statement.text.decode()).statements[0].items()
    if kind == "DropRoleStmt":
        for item in fields["roles"]:
            _drop(session, item["RoleSpec"].get("rolename", ""), missing_ok=bool(fields.get("missing_ok")))
        return
    for tries in range(_TRIES):
        session.command(b"SAVEPOINT role")
        there = _there(session, fields)
        try:
            _make(session, statement, fields, login, there=there)
        except DatabaseError as error:
            session.command(b"ROLLBACK TO role")
            if error.sqlstate not in _OVERTAKEN or tries == _TRIES - 1:
                raise
        else:
            session.command(b"RELEASE role")
            return


def _there(session: Session, fields: Node) -> bool:
    """Tell whether another database has made the role as it is wanted here.

    Raises `DatabaseError` (42710) where this one has, or where it is another role by the same name.
    """
    name = fields["role"]
    rows, _ = session.once(_LOOK, {"role": name})
    if not rows:
        return False
    ((ours, *found),) = rows
    if ours or name in STANDARD_ROLES:
        raise DatabaseError(f'role "{name}" already exists', sqlstate="42710")
    wanted = {"inherit": True, "canlogin": fields.get("stmt_type") == "ROLESTMT_USER"}
    for option in (item["DefElem"] for item in fields.get("options", ())):
        wanted[option["defname"]] = option.get("arg", {}).get("Boolean", {}).get("boolval", False)
    wanted.pop("addroleto", None)
    unlike = [
        option for option, is_so in zip(_ATTRIBUTES, found, strict=True) if wanted.get(option, False) != is_so
    ]
    unlike += [option for option in wanted if option not in _ATTRIBUTES]
    if unlike:
        raise DatabaseError(
            f'role "{name}" already exists',
            sqlstate="42710",
            detail=f"It is on this server, for all its databases, and not as this makes it: {', '.join(unlike)}.",
            hint="Give the new role another name, or make it as the one that is there.",
        )
    return True


def _make(session: Session, statement: Statement, fields: Node, login: str | None, *, there: bool) -> None:
    name = quoted(fields["role"])
    if there:
        for option in (item["DefElem"] for item in fields.get("options", ())):
            if option["defname"] == "addroleto":
                for group in option["arg"]["List"]["items"]:
                    session.command(f"GRANT {quoted(group['RoleSpec']['rolename'])} TO {name}".encode())
    else:
        session.once(statement, {})
    session.command(f"GRANT SELECT ON SEQUENCE kernel.schema_version TO {name}".encode())
    if login is not None:
        session.command(f"GRANT {name} TO {quoted(login)}".encode())


def _drop(session: Session, role: str, *, missing_ok: bool) -> None:
    """Drop a role; one that other databases have made as well stays for them."""
    command = f"DROP ROLE {'IF EXISTS ' if missing_ok else ''}{quoted(role)}".encode()
    if not session.once(_LOOK, {"role": role})[0]:
        session.command(command)
        return
    session.command(b"SAVEPOINT role")
    session.command(b"REVOKE SELECT ON SEQUENCE kernel.schema_version FROM " + quoted(role).encode())
    session.command(b"SAVEPOINT dropping")
    try:
        session.command(command)
    except DatabaseError as error:
        session.command(b"ROLLBACK TO dropping")
        ((needed,),), _ = session.once(_NEEDED_HERE, {"role": role})
        if error.sqlstate != "2BP01" or needed:
            session.command(b"ROLLBACK TO role; RELEASE role")
            raise
    session.command(b"RELEASE role")


def drop_unused(session: Session, role: str) -> None:
    """Drop a role that a database which is gone had made, unless another one has taken it over meanwhile."""
    try:
        session.command(b"DROP ROLE IF EXISTS " + quoted(role).encode())
    except DatabaseError as error:
        if error.sqlstate != "2BP01":
            raise


def quoted(name: str) -> str:
    """Return a name as an identifier."""
    return '"' + name.replace('"', '""') + '"'

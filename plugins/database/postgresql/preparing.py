"""What a database needs before anyone's rights can be told: the standard roles, and functions that tell who asks."""

from __future__ import annotations

from kernel.contracts.database import DatabaseError
from plugins.database.postgresql.session import Session
from plugins.database.postgresql.statements import Statement

_IS_PREPARED = Statement(
    b"""
    select (select count(*) from pg_roles where rolname in ('anon', 'authenticated', 'service_role')) = 3
        and to_regprocedure('auth.uid()') is not null and to_regprocedure('auth.role()') is not null
        and to_regprocedure('auth.email()') is not null and to_regprocedure('auth.jwt()') is not null
    """,
    (),
)

# Roles belong to the whole server: another database's kernel may be making the same ones. Who may not make any is
# refused even where they are there, so they are looked for first.
_ROLES = b"""
do $$ declare role record; begin
    for role in values ('anon', 'nobypassrls'), ('authenticated', 'nobypassrls'), ('service_role', 'bypassrls') loop
        if not exists (select from pg_roles where rolname = role.column1) then
            begin
                execute format('create role %I nologin noinherit %s', role.column1, role.column2);
            exception when duplicate_object or unique_violation then end;
        end if;
    end loop;
end $$;
"""

# A setting that was local to a transaction which has ended is empty, and not null.
_FUNCTIONS = b"""
create schema if not exists auth;
grant usage on schema auth to public;
do $$ begin grant usage on schema public to anon, authenticated, service_role;
    exception when invalid_schema_name then end $$;
create or replace function auth.jwt() returns jsonb language sql stable as $$
    select nullif(current_setting('request.jwt.claims', true), '')::jsonb
$$;
create or replace function auth.uid() returns uuid language sql stable as $$
    select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid
$$;
create or replace function auth.role() returns text language sql stable as $$
    select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
$$;
create or replace function auth.email() returns text language sql stable as $$
    select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email'
$$;
"""

_OVERTAKEN = ("40P01", "42710", "23505")
_TRIES = 10

COMMANDS = _ROLES + _FUNCTIONS
"""What makes everything that may be missing."""

# Membership holds for the whole server, privileges for one database.
_LOGIN_MAY = Statement(
    b"""
    select pg_has_role($1, 'service_role', 'member') and exists (
        select from pg_default_acl, aclexplode(defaclacl) where grantee = 'service_role'::regrole
    )
    """,
    ("login",),
)

# The runtime's login is nobody by itself: it takes on a caller's role, or service_role for the kernel's own work.
_RUNTIME = b"""
grant anon, authenticated, service_role to %(login)s;
do $$ declare name text; begin
    for name in select quote_ident(nspname) from pg_namespace
        where nspname !~ '^pg_' and nspname <> 'information_schema' and pg_has_role(nspowner, 'member')
    loop
        execute format('grant usage, create on schema %s to service_role', name);
        execute format('grant all on all tables in schema %s to service_role', name);
        execute format('grant all on all sequences in schema %s to service_role', name);
    end loop;
end $$;
alter default privileges grant all on tables to service_role;
alter default privileges grant all on sequences to service_role;
alter default privileges grant usage on schemas to service_role;
"""


def prepare(session: Session, turn: bytes) -> None:
    """Make what is missing, once in a deployment; `turn` is the statement that waits for its turn.

    Raises `DatabaseError` where the login may not.
    """
    ((done,),), _ = session.run(_IS_PREPARED, {})
    if done:
        return
    _within(session, turn, COMMANDS)


def let_in(session: Session, login: str, turn: bytes) -> None:
    """Let the login of the runtime do the kernel's own work and take on its callers' roles; once in a deployment."""
    ((done,),), _ = session.run(_LOGIN_MAY, {"login": login})
    if not done:
        quoted = '"' + login.replace('"', '""') + '"'
        _within(session, turn, _RUNTIME.replace(b"%(login)s", quoted.encode()))


def _within(session: Session, turn: bytes, commands: bytes) -> None:
    for tries in range(_TRIES):
        session.command(b"BEGIN READ WRITE")
        try:
            session.command(turn)
            session.command(commands)
        except BaseException as error:
            if not session.broken:
                session.command(b"ROLLBACK")
            if tries < _TRIES - 1 and isinstance(error, DatabaseError) and _is_overtaken(error):
                continue
            raise
        session.command(b"COMMIT")
        return


def _is_overtaken(error: DatabaseError) -> bool:
    """Tell whether another database of the server was making the same: a deadlock, or what is there by now."""
    return error.sqlstate in _OVERTAKEN or error.message.startswith("tuple concurrently")

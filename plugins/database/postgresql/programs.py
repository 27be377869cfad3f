"""PostgreSQL's own programs: how they are started, and what they say when they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import IO

from plugins.database.postgresql.connections import reaching

EMPTY = """
do $$ declare item text; begin
    for item in select pubname from pg_publication loop
        execute format('drop publication %I', item);
    end loop;
    for item in select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' loop
        execute format('drop schema %I cascade', item);
    end loop;
    create schema public authorization pg_database_owner;
    comment on schema public is 'standard public schema';
    grant usage on schema public to public;
end $$;
"""
"""Takes all out of a database, which is then as `pg_dump` expects to find it when a dump is put back."""

QUIET = ["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--output=/dev/null"]
"""How ``psql`` runs a script that is to happen as a whole."""


class NoProgram(Exception):
    """One is not installed; says which, and what to install."""


def start(
    program: str, arguments: list[str], url: str | None, **streams: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a program on the database at `url`; raises `NoProgram`."""
    path = shutil.which(program)
    if path is None:
        raise NoProgram(
            f"there is no {program} here; install PostgreSQL's client programs, of the server's release or a later "
            "one (apt install postgresql-client)"
        )
    conninfo, environment = connection(url) if url is not None else ([], {})
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]  # noqa: S603 - no shell reads it
        [path, *conninfo, *arguments],
        env={**os.environ, **environment},
        **{"stdin": subprocess.DEVNULL, **streams},
    )


def connection(url: str) -> tuple[list[str], Mapping[str, str]]:
    """Return how a program finds the server: the password is not among the arguments, which everybody may see."""
    from psycopg.conninfo import make_conninfo

    given = reaching(url)
    password = given.pop("password", None)
    environment = {} if password is None else {"PGPASSWORD": password}
    return [f"--dbname={make_conninfo('', **given)}"], environment


def reason(said: IO[bytes]) -> str:
    """Return the first error among what a program has said."""
    said.seek(0)
    lines = [line for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "error:" in line]
    return (errors or lines or ["it gave no reason"])[0].strip()

"""Dumps of a PostgreSQL database with its own tools, and putting one back in one transaction."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from kernel.contracts.database import Compiled, Database
from plugins.database.backup.archive import BackupError, Progress
from plugins.database.backup.scratch import remedy
from plugins.database.postgresql import programs

_ROLES = Compiled("""
    select distinct r.rolname from pg_shdepend d join pg_roles r on r.oid = d.refobjid
    where d.refclassid = 'pg_authid'::regclass and r.rolname !~ '^pg_'
      and d.dbid = (select oid from pg_database where datname = current_database())
""")
_TABLES = Compiled("""
    select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
""")
_SERVERS = Compiled("""
    select count(*) from pg_stat_activity
    where datname = current_database() and application_name = 'backend-kernel' and pid <> pg_backend_pid()
""")
_CREATE_ROLE = """
do $$ begin create role {} nologin; exception when duplicate_object or unique_violation then null; end $$;
"""
# A restored log begins anew, so that cursors from before are refused.
_RESTART = """
do $$ begin
    if to_regclass('kernel.change_log') is not null then
        delete from kernel.changes; delete from kernel.change_marks; delete from kernel.change_log;
        insert into kernel.change_log (epoch) values (replace(gen_random_uuid()::text, '-', ''));
    end if;
end $$;
"""
_PIECE = 1 << 20


class PostgresPlace:
    """A database on a server."""

    engine = "postgresql"

    def __init__(self, url: str, database: Database) -> None:
        self._url = url
        self._database = database

    def copy(self, target: Path, progress: Progress) -> None:
        """Dump the database as it is at one moment, without the change log."""
        arguments = [
            "--format=custom",
            "--no-password",
            "--exclude-table-data=kernel.change*",
            f"--file={target}",
        ]
        with tempfile.TemporaryFile() as said:
            process = _start("pg_dump", arguments, self._url, stderr=said)
            while process.poll() is None:
                progress(target.stat().st_size if target.exists() else 0, None)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)
            if process.returncode != 0:
                reason = programs.reason(said)
                advice = remedy(reason)
                where = f" in {target.parent}{advice}" if advice else ""
                raise BackupError(f"pg_dump failed: {reason}{where}")
        target.chmod(0o600)

    def roles(self) -> tuple[str, ...]:
        """Return the roles that own something in the database, or have rights in it."""
        return tuple(sorted(name for (name,) in self._database.query(_ROLES)))

    def check(self, path: Path) -> None:
        """Raise `BackupError` unless pg_restore can read the dump to its end."""
        with tempfile.TemporaryFile() as said:
            process = _start("pg_restore", ["--file=/dev/null", str(path)], None, stderr=said)
            if process.wait() != 0:
                raise BackupError(
                    f"the dump in the backup cannot be read: {programs.reason(said)}; nothing was changed"
                )

    def is_empty(self) -> bool:
        """Tell whether there is nothing in the database that could be lost."""
        return bool(self._database.query(_TABLES)[0][0] == 0)

    def scratch(self) -> None:
        """Return no folder: any will do."""

    def restore(self, path: Path, roles: tuple[str, ...], progress: Progress) -> None:
        """Put a dump in the place of all that is in the database, in one transaction."""
        ((servers,),) = self._database.query(_SERVERS)
        if servers:
            raise BackupError(
                f"the database is in use, by {servers} connections of a project's server; stop the server first"
            )
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
            reading = _start(
                "pg_restore", ["--file=-", "--no-owner", str(path)], None,
                stdout=subprocess.PIPE, stderr=complained,
            )  # fmt: skip
            running = _start(
                "psql", programs.QUIET,
                self._url, stdin=subprocess.PIPE, stderr=said,
            )  # fmt: skip
            is_whole = _pump(reading, running, roles, progress)
            if reading.wait() not in (0, -signal.SIGKILL):
                running.wait()
                raise BackupError(
                    f"the dump cannot be read: {programs.reason(complained)}; nothing was changed"
                )
            if running.wait() != 0 or not is_whole:
                reason = programs.reason(said)
                raise BackupError(
                    f"the dump cannot be put back: {reason}; nothing was changed{remedy(reason)}"
                )


def _pump(
    reading: subprocess.Popen[bytes],
    running: subprocess.Popen[bytes],
    names: tuple[str, ...],
    progress: Progress,
) -> bool:
    """Give psql the dump within a transaction that is committed only after the dump's last statement."""
    source, target = reading.stdout, running.stdin
    assert source is not None and target is not None  # noqa: S101, PT018 - they are pipes
    try:
        target.write(b"begin; set local lock_timeout = '10s';\n")
        target.write("".join(_CREATE_ROLE.format(_quoted(name)) for name in names).encode())
        target.write(programs.EMPTY.encode())
        done = 0
        while piece := source.read(_PIECE):
            target.write(piece)
            done += len(piece)
            progress(done, None)
        if reading.wait() != 0:
            return False  # without a commit, the end of the input is a rollback
        target.write(f"\n{_RESTART}\ncommit;\n".encode())
        target.flush()
    except BrokenPipeError:
        reading.kill()  # psql has failed, and says why
        return False
    finally:
        source.close()
        _close(target)
    return True


def _close(target: IO[bytes]) -> None:
    try:
        target.close()
    except BrokenPipeError:
        return  # psql has gone, which its exit code tells


def _start(
    program: str, arguments: list[str], url: str | None, **streams: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    try:
        return programs.start(program, arguments, url, **streams)
    except programs.NoProgram as error:
        raise BackupError(str(error)) from error


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

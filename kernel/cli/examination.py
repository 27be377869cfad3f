"""The doctor's examinations: each looks at one thing, changes nothing, and says what to do."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from kernel.cli.base import Project
from kernel.cli.survey import problems
from kernel.config import FILE_NAME, Config, KernelSettings
from kernel.contracts.database import Database, DatabaseError
from kernel.dispatch import RequestHooks
from kernel.errors import KernelError, describe
from kernel.kernel import Kernel

State = Literal["ok", "warning", "problem"]

_LOW_DISK, _NO_DISK = 1 << 30, 50 << 20
_FEW_FILES = 1024
_LOCKED = "55P03"
"""Where somebody else is writing, it can be written."""
_REMOTE = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs")


class Finding(msgspec.Struct, frozen=True):
    """What was found about one thing, and, unless all is well, what to do."""

    about: str
    state: State
    text: str
    remedy: str | None = None


def examine(project: Project) -> Iterator[Finding]:
    """Examine a project and its machine, from the ground up; what cannot be seen for want of settings is left out."""
    yield _python()
    yield from _open_files()
    try:
        config = project.config()
        settings = config.settings("kernel", KernelSettings)
    except KernelError as error:
        yield Finding("settings", "problem", str(error), f"mend {FILE_NAME}, then: kernel doctor")
        return
    data = (config.project / settings.data).resolve()
    found = list(problems(config))
    for problem in found:
        yield Finding("settings", "problem", problem, "mend this, then look again: kernel config check")
    kernel = None if found else project.kernel()
    if kernel is not None:
        yield _settings(config)
        yield from _plugins(kernel)
    yield from _secrets(config)
    yield _data(data)
    yield from _disk(data)
    yield _port(settings.host, settings.port)
    yield _clock(data)
    if kernel is not None:
        yield _database(kernel, data)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "ok", f"{version}, {sys.executable}")


def _open_files() -> Iterator[Finding]:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 < soft < _FEW_FILES:
        yield Finding(
            "open files", "warning", f"at most {soft}, so that many clients cannot connect", "ulimit -n 4096"
        )


def _settings(config: Config) -> Finding:
    if config.file.exists():
        return Finding("settings", "ok", str(config.file))
    return Finding("settings", "ok", f"no {FILE_NAME} in {config.project}: everything has its default")


def _plugins(kernel: Kernel) -> Iterator[Finding]:
    yield Finding("plugins", "ok", f"{len(kernel.records)} enabled: {', '.join(kernel.plugins)}")
    kernel.collect_routes(untold=lambda _: None)
    blocking = RequestHooks(kernel.manager).blocking
    if blocking and any(route.inline for route in kernel.router.routes if route.owner != "kernel"):
        yield Finding(
            "inline",
            "warning",
            f"inline routes run in threads, at half the speed, because of {', '.join(blocking)}",
            "mark these request hooks @nonblocking if they never wait, or disable their plugin",
        )


def _secrets(config: Config) -> Iterator[Finding]:
    path = config.project / ".env"
    if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield Finding("secrets", "warning", f"others can read {path}", f"chmod 600 {path}")


def _data(data: Path) -> Finding:
    finding = partial(Finding, "data")
    parent = _existing(data)
    if parent != data:
        if os.access(parent, os.W_OK):
            return finding("ok", f"{data} is not there yet; kernel serve makes it")
        return finding("problem", f"{data} cannot be made", f"make {parent} writable, or set [kernel] data")
    if not data.is_dir():
        return finding("problem", f"{data} is not a folder", "remove it, or set [kernel] data")
    if not os.access(data, os.W_OK | os.X_OK):
        return finding("problem", f"{data} cannot be written", f"make it this user's: chown $USER {data}")
    if stat.S_IMODE(data.stat().st_mode) & 0o077:
        return finding("warning", f"others can look into {data}, which holds secrets", f"chmod 700 {data}")
    return finding("ok", str(data))


def _disk(data: Path) -> Iterator[Finding]:
    finding = partial(Finding, "disk")
    place = _existing(data)
    free = shutil.disk_usage(place).free
    text = f"{free / (1 << 30):.1f} GB free" if free >= 1 << 30 else f"{free >> 20} MB free"
    if free >= _LOW_DISK:
        yield finding("ok", text)
    else:
        state: State = "problem" if free < _NO_DISK else "warning"
        yield finding(state, f"only {text} for {data}", "free some, or move the data folder: [kernel] data")
    kind = _file_system(place)
    if kind in _REMOTE:
        text = f"{data} is on a network file system ({kind}), where SQLite's locks cannot be relied on"
        yield finding("warning", text, "move the data folder to a local disk: [kernel] data")


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _file_system(path: Path) -> str | None:
    """Return the kind of the file system that holds `path`, where Linux tells."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    mounts = {fields[1]: fields[2] for line in lines if len(fields := line.split()) > 2}
    return next((mounts[str(place)] for place in (path, *path.parents) if str(place) in mounts), None)


def _port(host: str, port: int) -> Finding:
    from kernel.serving.supervisor import bind

    try:
        bind(host, port).close()
    except KernelError as error:
        return Finding("port", "warning", str(error), "if this project's server is running, all is well")
    return Finding("port", "ok", f"{port} on {host} is free" if port else "any free one")


def _clock(data: Path) -> Finding:
    now = datetime.now(UTC)
    inside = data.iterdir() if data.is_dir() and os.access(data, os.R_OK) else ()
    latest = datetime.fromtimestamp(max(path.stat().st_mtime for path in (Path(__file__), *inside)), UTC)
    if (latest - now).total_seconds() <= 60:
        return Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC")
    text = (
        f"it says {now:%Y-%m-%d %H:%M} UTC, but files here are from {latest:%Y-%m-%d %H:%M}; tokens would "
        "be refused as not valid yet, or believed too long"
    )
    return Finding("clock", "problem", text, "set the clock, for example by NTP: timedatectl set-ntp true")


def _database(kernel: Kernel, data: Path) -> Finding:
    """Ask the database one question, if there is one yet; nothing is started for it."""
    finding = partial(Finding, "database")
    database = kernel.services.get(Database)
    if database is None:
        return finding("warning", "no enabled plugin provides one", "kernel plugins enable database")
    if not data.exists():
        return finding("ok", "nothing there yet; kernel serve makes it")
    try:
        database.query("select 1")
        tables = len(database.catalogue.tables)
        if tables:
            _begin_to_write(database)
        return finding("ok", f"{database.engine} answers, {tables} tables")
    except Exception as error:
        # Whatever it is, it is a finding.
        why, apart, remedy = describe(error).rpartition("; ")
        return finding("problem", why or remedy, remedy if apart else "see the log of kernel serve")
    finally:
        kernel.stop()


def _begin_to_write(database: Database) -> None:
    """Begin a transaction, and end it at once: a database may answer and take nothing."""
    try:
        with database.transaction():
            pass
    except DatabaseError as error:
        if error.sqlstate != _LOCKED:
            raise

"""What a project begins with: an example migration, and the lines to try a running server with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kernel.config import FILE_NAME
from kernel.errors import KernelError

if TYPE_CHECKING:
    from kernel.kernel import Kernel

MIGRATIONS = "migrations"
TEMPLATES = Path(__file__).parent / "templates"
_API = "/rest/v1"


def is_untouched(folder: Path, data: str) -> bool:
    """Tell whether nobody has made a project of this folder, and no server has run in it."""
    return not any((folder / name).exists() for name in (FILE_NAME, MIGRATIONS, data))


def write_example(folder: Path) -> Path:
    """Write the example migration, a table of notes, into ``migrations/``; return its path.

    The first `kernel serve` in an untouched folder does this, and so does `kernel init`: a first table that is
    the project's own, there to be seen, changed and deleted, and no special case in the migrations plugin.
    """
    path = folder / MIGRATIONS / f"{datetime.now(UTC):%Y%m%d%H%M%S}_notes.sql"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((TEMPLATES / "project" / "notes.sql").read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise KernelError(
            f"{path} cannot be written: {error.strerror}; make {folder} writable, or run in another folder"
        ) from error
    return path


def lines_to_try(kernel: Kernel, url: str) -> list[str]:
    """Return shell lines that show a ready kernel at work: create and read a row, or what comes nearest."""
    from kernel.contracts.database import Database
    from kernel.contracts.keys import Keys

    keys, database = kernel.services.get(Keys), kernel.services.get(Database)
    if keys is None or database is None or not _serves_rest(kernel):
        return [f"curl -i {url}/readyz"]
    key = keys.api_key("service_role")
    headers = f"-H 'apikey: {key}'"
    tables = sorted(name for schema, name in database.catalogue.tables if schema == "public")
    if "notes" in tables:
        body = "-H 'Content-Type: application/json' -H 'Prefer: return=representation' -d '{\"body\": \"Hello\"}'"
        return [f"curl {url}{_API}/notes {headers} {body}", f"curl {url}{_API}/notes {headers}"]
    return [f"curl '{url}{_API}/{name}?limit=10' {headers}" for name in tables[:1]]


def _serves_rest(kernel: Kernel) -> bool:
    return any(route.path.startswith(f"{_API}/") for route in kernel.router.routes)

"""Here, a database is SQLite's."""

from __future__ import annotations

import pytest

from plugins.database.sqlite.database import SqliteDatabase


@pytest.fixture
def database(embedded: SqliteDatabase) -> SqliteDatabase:
    """An empty database in memory."""
    return embedded

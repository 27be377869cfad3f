from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kernel.testing.conformance import DatabaseContract, SchemaWorkContract, SignalsContract


class TestDatabaseInMemory(DatabaseContract):
    @pytest.fixture
    def kernel_options(self) -> dict[str, Any]:
        return {"plugins": ["database"]}


class TestDatabaseOnDisk(DatabaseContract):
    @pytest.fixture
    def kernel_options(self, tmp_path: Path) -> dict[str, Any]:
        return {"plugins": ["database"], "settings": {"database": {"url": f"sqlite:///{tmp_path}/it.db"}}}


class TestSignals(SignalsContract):
    @pytest.fixture
    def kernel_options(self, tmp_path: Path) -> dict[str, Any]:
        return {"plugins": ["database"], "settings": {"database": {"url": f"sqlite:///{tmp_path}/it.db"}}}


class TestPostgreSQL(DatabaseContract):
    @pytest.fixture
    def kernel_options(self, postgresql_url: str) -> dict[str, Any]:
        return {"plugins": ["database"], "settings": {"database": {"url": postgresql_url}}}


class TestSignalsOnPostgreSQL(SignalsContract):
    @pytest.fixture
    def kernel_options(self, postgresql_url: str) -> dict[str, Any]:
        return {"plugins": ["database"], "settings": {"database": {"url": postgresql_url}}}


class TestSchemaWork(SchemaWorkContract):
    @pytest.fixture
    def kernel_options(self, tmp_path: Path) -> dict[str, Any]:
        return {"plugins": ["database"], "settings": {"database": {"url": f"sqlite:///{tmp_path}/it.db"}}}


class TestSchemaWorkOnPostgreSQL(SchemaWorkContract):
    @pytest.fixture
    def kernel_options(self, postgresql_url: str) -> dict[str, Any]:
        return {"plugins": ["database"], "settings": {"database": {"url": postgresql_url}}}

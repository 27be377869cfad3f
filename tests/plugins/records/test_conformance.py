from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kernel.testing.conformance import RecordsContract


class TestRecordsInMemory(RecordsContract):
    @pytest.fixture
    def kernel_options(self) -> dict[str, Any]:
        return {"plugins": ["database", "records"]}


class TestRecordsOnDisk(RecordsContract):
    @pytest.fixture
    def kernel_options(self, tmp_path: Path) -> dict[str, Any]:
        settings = {"database": {"url": f"sqlite:///{tmp_path}/it.db"}}
        return {"plugins": ["database", "records"], "settings": settings}


class TestRecordsOnPostgreSQL(RecordsContract):
    @pytest.fixture
    def kernel_options(self, postgresql_url: str) -> dict[str, Any]:
        return {"plugins": ["database", "records"], "settings": {"database": {"url": postgresql_url}}}

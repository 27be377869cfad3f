from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kernel.testing.conformance import ChangesContract


class TestChangesOnDisk(ChangesContract):
    @pytest.fixture
    def kernel_options(self, tmp_path: Path) -> dict[str, Any]:
        return {"plugins": ["database"], "settings": {"database": {"url": f"sqlite:///{tmp_path}/it.db"}}}


class TestChangesOnPostgreSQL(ChangesContract):
    @pytest.fixture
    def kernel_options(self, postgresql_url: str) -> dict[str, Any]:
        return {"plugins": ["database"], "settings": {"database": {"url": postgresql_url}}}

"""`Policies` meets its contract on both engines."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.testing.conformance import PoliciesContract
from plugins.database import DatabasePlugin
from plugins.permissions import PermissionsPlugin


class TestOnSqlite(PoliciesContract):
    @pytest.fixture
    def kernel_options(self) -> dict[str, Any]:
        return {"plugins": [DatabasePlugin, PermissionsPlugin]}


class TestOnPostgresql(PoliciesContract):
    @pytest.fixture
    def kernel_options(self, postgresql_url: str) -> dict[str, Any]:
        return {
            "plugins": [DatabasePlugin, PermissionsPlugin],
            "settings": {"database": {"url": postgresql_url}},
        }

from __future__ import annotations

from typing import Any

import pytest

from kernel.testing.conformance import KeysContract


class TestKeys(KeysContract):
    @pytest.fixture
    def kernel_options(self) -> dict[str, Any]:
        return {"plugins": ["keys"]}

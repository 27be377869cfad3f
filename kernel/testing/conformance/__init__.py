"""Conformance suites: what every implementation of a contract must do, as pytest classes to subclass.

A subclass overrides the fixture ``kernel_options`` with the plugin that provides the contract:

    class TestMyDatabase(DatabaseContract):
        @pytest.fixture
        def kernel_options(self):
            return {"plugins": [MyDatabasePlugin]}
"""

from kernel.testing.conformance.changes import ChangesContract
from kernel.testing.conformance.database import DatabaseContract
from kernel.testing.conformance.keys import KeysContract
from kernel.testing.conformance.policies import PoliciesContract
from kernel.testing.conformance.records import RecordsContract
from kernel.testing.conformance.schema import SchemaWorkContract
from kernel.testing.conformance.signals import SignalsContract

__all__ = [
    "ChangesContract",
    "DatabaseContract",
    "KeysContract",
    "PoliciesContract",
    "RecordsContract",
    "SchemaWorkContract",
    "SignalsContract",
]

"""The contracts that plugins provide to one another: one protocol a file, and the values that cross it."""

from kernel.contracts.catalogue import Catalogue, Column, ForeignKey, Grant, Index, Policy, Role, Table
from kernel.contracts.changes import ChangeBatch, ChangeLog, ChangesLost, RowChange
from kernel.contracts.database import (
    Compiled,
    Database,
    DatabaseError,
    DatabaseUnavailable,
    Expression,
    NotInline,
    Params,
    RequestSettings,
    Row,
    Transaction,
)
from kernel.contracts.keys import InvalidToken, Keys
from kernel.contracts.records import Records, RecordsError
from kernel.contracts.schema import Dropped, Lock, SchemaTransaction, SchemaWork, Scratch, Step
from kernel.contracts.signals import Signals
from kernel.contracts.stored import Imaged, StoredType

__all__ = [
    "Catalogue",
    "ChangeBatch",
    "ChangeLog",
    "ChangesLost",
    "Column",
    "Compiled",
    "Database",
    "DatabaseError",
    "DatabaseUnavailable",
    "Dropped",
    "Expression",
    "ForeignKey",
    "Grant",
    "Imaged",
    "Index",
    "InvalidToken",
    "Keys",
    "Lock",
    "NotInline",
    "Params",
    "Policy",
    "Records",
    "RecordsError",
    "RequestSettings",
    "Role",
    "Row",
    "RowChange",
    "SchemaTransaction",
    "SchemaWork",
    "Scratch",
    "Signals",
    "Step",
    "StoredType",
    "Table",
    "Transaction",
]

"""The typed registry: who provides which contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from kernel.errors import ServiceError

Contract = TypeVar("Contract")


class Services:
    """Contract to implementation; ``services[Database]`` is typed as a `Database`."""

    def __init__(self) -> None:
        self._provided: dict[type, tuple[str, Any]] = {}

    def provide(self, contract: type, implementation: Any, *, owner: str) -> None:
        """Put `implementation` behind `contract`; each contract has one provider."""
        if contract in self._provided:
            raise ServiceError(
                f"plugins {self._provided[contract][0]!r} and {owner!r} both provide {contract.__name__}; "
                f'choose one in kernel.toml: [provide] {contract.__name__} = "{owner}"'
            )
        self._provided[contract] = (owner, implementation)

    def __getitem__(self, contract: type[Contract]) -> Contract:
        """Return the implementation; raises `ServiceError` where nobody provides it."""
        try:
            implementation: Contract = self._provided[contract][1]
        except KeyError:
            raise ServiceError(
                f"no enabled plugin provides {contract.__name__}; declare it in 'requires' to have the boot check it"
            ) from None
        return implementation

    def get(self, contract: type[Contract]) -> Contract | None:
        """Return the implementation or None, for contracts that a plugin only uses."""
        return self[contract] if contract in self._provided else None

    def __contains__(self, contract: type) -> bool:
        return contract in self._provided

    def __iter__(self) -> Iterator[tuple[type, str]]:
        """Yield each contract with its provider's name."""
        return iter([(contract, owner) for contract, (owner, _) in self._provided.items()])

from __future__ import annotations

from typing import Protocol

import pytest

from kernel.errors import ServiceError
from kernel.services import Services


class Cache(Protocol):
    """A contract."""


def test_a_provided_contract_is_found_and_listed_with_its_owner() -> None:
    services, cache = Services(), object()
    services.provide(Cache, cache, owner="memory")
    assert services[Cache] is cache
    assert services.get(Cache) is cache
    assert Cache in services
    assert list(services) == [(Cache, "memory")]


def test_a_contract_nobody_provides_is_an_error_that_names_it_or_none() -> None:
    services = Services()
    assert Cache not in services
    assert services.get(Cache) is None
    with pytest.raises(ServiceError, match="no enabled plugin provides Cache; declare it in 'requires'"):
        services[Cache]


def test_a_second_provider_is_refused_with_the_line_that_chooses() -> None:
    services = Services()
    services.provide(Cache, 1, owner="memory")
    with pytest.raises(ServiceError, match=r"'memory' and 'redis' both provide Cache.*Cache = \"redis\""):
        services.provide(Cache, 2, owner="redis")

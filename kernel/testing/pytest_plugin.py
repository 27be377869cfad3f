"""Fixtures for tests of plugins and projects; nothing is imported until one is used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kernel.testing.client import Client
    from kernel.testing.factory import KernelFactory, KernelUnderTest
    from kernel.testing.policy_coverage import PolicyCoverage
    from kernel.testing.recorder import Recorder


_COVERAGE: pytest.StashKey[PolicyCoverage] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the coverage of policies."""
    group = parser.getgroup("backend-kernel")
    group.addoption(
        "--policy-coverage",
        action="store_true",
        help="Report the policies of row security that no assertion of kernel.testing.rights has exercised.",
    )
    group.addoption(
        "--policy-coverage-fail-under",
        type=float,
        metavar="PERCENT",
        help="Report them, and fail if less is covered.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Gather what is exercised, if asked to."""
    under = config.getoption("policy_coverage_fail_under")
    if under is None and not config.getoption("policy_coverage"):
        return
    from kernel.testing.policy_coverage import PolicyCoverage, Report

    coverage = config.stash[_COVERAGE] = PolicyCoverage()
    config.pluginmanager.register(Report(coverage, under or 0.0), "kernel-policy-coverage")


@pytest.fixture(scope="session")
def kernel_factory(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> KernelFactory:
    """The session's factory, which keeps migrated images; whoever calls it stops the kernel."""
    from kernel.testing.factory import KernelFactory

    return KernelFactory(tmp_path_factory.mktemp("kernel-projects"), pytestconfig.stash.get(_COVERAGE, None))


class MakeKernel:
    """Makes kernels that are stopped after the test; the arguments are those of `KernelFactory`."""

    def __init__(self, factory: KernelFactory, stack: ExitStack) -> None:
        self._factory = factory
        self._stack = stack

    def __call__(self, **options: Any) -> KernelUnderTest:
        """Return a started kernel."""
        kernel = self._factory(**options)
        self._stack.callback(kernel.stop)
        return kernel


@pytest.fixture
def make_kernel(kernel_factory: KernelFactory) -> Iterator[MakeKernel]:
    """Return a function that makes a started kernel, stopped after the test."""
    with ExitStack() as stack:
        yield MakeKernel(kernel_factory, stack)


@pytest.fixture
def kernel_options() -> dict[str, Any]:
    """Return the arguments that the `kernel` fixture gives to `make_kernel`; override it to choose."""
    return {}


@pytest.fixture
def kernel(make_kernel: MakeKernel, kernel_options: dict[str, Any]) -> KernelUnderTest:
    """Return a started kernel made with `kernel_options`."""
    return make_kernel(**kernel_options)


@pytest.fixture
def kernel_client(kernel: KernelUnderTest) -> Client:
    """Return the client of the `kernel` fixture."""
    return kernel.client


@pytest.fixture
def recorder(kernel: KernelUnderTest) -> Recorder:
    """Return the recorder of the `kernel` fixture."""
    return kernel.recorder

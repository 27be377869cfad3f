"""Errors that stop a boot or a command: each message says what happened, to what, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class KernelError(Exception):
    """The kernel cannot go on; shown to an operator as one line, without a traceback."""


class ConfigError(KernelError):
    """A setting is unknown, of the wrong type, or contradicts another."""


class DiscoveryError(KernelError):
    """A plugin could not be found, imported or recognised."""


class OrderError(KernelError):
    """The plugins' contracts cannot be put in order: a cycle, a missing provider or an open choice."""


class HookError(KernelError):
    """A hook implementation does not fit any hook specification."""


class RouteError(KernelError):
    """A route cannot be served, or two plugins claim the same one."""


class EventError(KernelError):
    """An event was declared wrongly, or a subscription names an event nobody declares."""


class ServiceError(KernelError):
    """A contract has no provider, or a plugin did not provide what it promised."""


class PhaseError(KernelError):
    """A plugin raised in a phase of the life; names plugin, phase and cause."""

    def __init__(self, plugin: str, phase: str, cause: BaseException) -> None:
        super().__init__(f"plugin {plugin!r} failed in {phase}: {describe(cause)}")
        self.plugin = plugin
        self.phase = phase
        self.cause = cause


def explain(error: BaseException) -> str:
    """Return what an exception says to an operator (never to a client): its text and its notes, in one line."""
    text = "; ".join([str(error), *getattr(error, "__notes__", ())]).strip("; ")
    return " ".join(text.split())


def describe(error: BaseException) -> str:
    """Name an exception for an operator (never for a client): its type, its text and its notes, in one line."""
    if isinstance(error, KernelError):
        return str(error)
    text = explain(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name nearest to `name`, or the empty string."""
    matches = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {matches[0]!r}?" if matches else ""

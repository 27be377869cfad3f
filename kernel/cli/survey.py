"""What a project is made of, seen plugin by plugin, so that one broken plugin hides no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from kernel.config import Config, KernelSettings, PluginChoice
from kernel.discovery import installed, load, make_importable, order
from kernel.errors import KernelError
from kernel.kernel import Kernel
from kernel.plugin import PluginRecord

State = Literal["enabled", "disabled", "available", "broken"]


class Sight(msgspec.Struct, frozen=True):
    """One plugin: `record` where its class could be loaded, else `problem` says why not.

    `default` tells whether it runs unless disabled. Of the states, ``available`` is installed and waiting to be
    enabled, ``broken`` is enabled but cannot be loaded.
    """

    name: str
    enabled: bool
    default: bool
    origin: str
    record: PluginRecord | None = None
    problem: str | None = None

    @property
    def state(self) -> State:
        """The plugin's state in a word."""
        if self.enabled:
            return "broken" if self.problem else "enabled"
        return "disabled" if self.default else "available"

    @property
    def title(self) -> str:
        """The name its plugin goes by; an import path's, once it is loaded."""
        return self.record.name if self.record else self.name


def look(config: Config) -> list[Sight]:
    """Return every installed plugin and every other one that the project names, loaded where that works."""
    choice = config.settings("plugins", PluginChoice)
    make_importable(config.project)
    offers = installed()
    sights = []
    for name in dict.fromkeys([*offers, *choice.enable]):
        offer = offers.get(name)
        default = offer is not None and offer.is_bundled
        enabled = (default or name in choice.enable) and name not in choice.disable
        origin = offer.origin if offer else "this project"
        record, problem = None, None
        try:
            record = load(name, offers)
        except KernelError as error:
            problem = str(error)
        sights.append(Sight(name, enabled, default, origin, record, problem))
    return sights


def problems(config: Config) -> Iterator[str]:
    """Yield everything that keeps the project from being registered; nothing where it can be."""
    found = [str(error) for error in config.problems("kernel", KernelSettings)]
    choice_problems = config.problems("plugins", PluginChoice)
    if choice_problems:
        yield from found
        yield from map(str, choice_problems)
        return
    sights = look(config)
    enabled = [sight for sight in sights if sight.enabled]
    records = [sight.record for sight in enabled if sight.record is not None]
    found += [sight.problem for sight in enabled if sight.problem]
    known = [*installed(), *(record.name for record in records)]
    found += map(str, config.unknown_sections(known))
    for record in records:
        found += map(str, config.problems(record.name, record.cls.Settings))
    if len(records) == len(enabled):
        try:
            order(records, config.provide())
        except KernelError as error:
            found.append(str(error))
    found = found or list(_registering(config))
    yield from dict.fromkeys(found)


def _registering(config: Config) -> Iterator[str]:
    """What only the attempt shows: hooks that are none, services not provided, two plugins on one route."""
    try:
        kernel = Kernel(config, role="command")
        kernel.register()
        kernel.collect_routes(untold=lambda _: None)
    except KernelError as error:
        yield str(error)

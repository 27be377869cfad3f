"""From names to plugin classes in the order they start: entry points and import paths, checked one by one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import Distribution, entry_points
from pathlib import Path

import msgspec

import kernel
from kernel.config import FILE_NAME, RESERVED, PluginChoice
from kernel.errors import DiscoveryError, OrderError, describe, nearest
from kernel.plugin import API_VERSION, Plugin, PluginRecord

GROUP = "backend_kernel.plugins"
DISTRIBUTION = "backend-kernel"


class Offer(msgspec.Struct, frozen=True):
    """A plugin that an installed distribution offers: an entry point, whose `value` is ``module:Class``."""

    name: str
    value: str
    distribution: str = ""
    version: str = ""

    @property
    def is_bundled(self) -> bool:
        """Whether it comes from this distribution, and so is in the default set."""
        return self.distribution == DISTRIBUTION

    @property
    def origin(self) -> str:
        """The distribution and its version, where they are known."""
        return f"{self.distribution} {self.version}" if self.distribution else self.value


def installed() -> dict[str, Offer]:
    """Return what is installed by name; two distributions may not share a name. Reads files, so ask it once."""
    found: dict[str, Offer] = {}
    known: dict[Distribution, tuple[str, str]] = {}
    for point in entry_points(group=GROUP):
        named = ("", "")
        if point.dist is not None:
            # Each look at a distribution's name parses all that it says of itself.
            named = known.get(point.dist) or (point.dist.name, point.dist.version)
            known[point.dist] = named
        offer = Offer(point.name, point.value, *named)
        other = found.setdefault(offer.name, offer)
        if other.value != offer.value:
            raise DiscoveryError(
                f"two installed distributions offer a plugin called {offer.name!r}: {other.origin} and "
                f"{offer.origin}; uninstall one, or enable the one you want as module:Class under another name"
            )
    return dict(sorted(found.items()))


def make_importable(project: Path) -> None:
    """Let the modules in a project's folder be imported."""
    if str(project) not in sys.path:
        # Last, so that a project's own kernel.py or plugins folder cannot shadow ours.
        sys.path.append(str(project))


def discover(choice: PluginChoice, project: Path, offers: Mapping[str, Offer]) -> list[PluginRecord]:
    """Load the classes of the default set, plus `choice.enable`, minus `choice.disable`.

    `offers` are what `installed` found.

    Raises `DiscoveryError` naming the plugin and what to do about it.
    """
    names = [name for name, offer in offers.items() if offer.is_bundled]
    for name in choice.disable:
        if name not in names and name not in choice.enable:
            raise DiscoveryError(
                f"[plugins] disable names {name!r}, which is not enabled{nearest(name, names)}"
            )
    wanted = [name for name in dict.fromkeys([*names, *choice.enable]) if name not in choice.disable]
    if any(":" in name for name in wanted):
        make_importable(project)
    return [load(name, offers) for name in wanted]


def load(name: str, offers: Mapping[str, Offer]) -> PluginRecord:
    """Load one plugin's class by entry-point name or ``module:Class``; raises `DiscoveryError`."""
    if ":" in name:
        record = check(_import(name), f"{FILE_NAME}: {name}")
    elif name in offers:
        offer = offers[name]
        record = check(_import(offer.value, offer), offer.origin, offer.version)
        if record.name != name:
            raise DiscoveryError(
                f"the entry point {name!r} of {record.source} loads a plugin that calls itself {record.name!r}; "
                "the two names must be the same"
            )
    else:
        raise DiscoveryError(
            f"[plugins] enable names {name!r}, but no installed distribution offers it{nearest(name, offers)}; "
            "install its package, or write module:Class for a plugin of this project"
        )
    return record


def check(cls: object, source: str, version: str = "") -> PluginRecord:
    """Make the record of a class that says it is a plugin; raises `DiscoveryError` where it is not one."""
    if not (isinstance(cls, type) and issubclass(cls, Plugin)):
        raise DiscoveryError(f"{source}: {cls!r} is not a subclass of kernel.Plugin")
    name = getattr(cls, "name", None)
    if not (isinstance(name, str) and name.isidentifier() and name == name.lower()):
        raise DiscoveryError(f"{source}: {cls.__name__}.name is {name!r}; give it a lower-case identifier")
    if name in RESERVED:
        raise DiscoveryError(
            f"{source}: a plugin cannot be called {name!r}, a section of {FILE_NAME} has that name"
        )
    if API_VERSION not in cls.api:
        raise DiscoveryError(
            f"plugin {name!r} ({source}) works with versions {cls.api.start} to {cls.api.stop - 1} of the kernel's "
            f"API, and this kernel has version {API_VERSION}; install a release of the plugin or kernel that fits"
        )
    return PluginRecord(cls, source, version)


def _import(value: str, offer: Offer | None = None) -> object:
    module_name, _, attribute = value.partition(":")
    try:
        module = import_module(module_name)
    except Exception as error:
        raise DiscoveryError(
            f"plugin {value!r} cannot be imported: {describe(error)}{_shadow(offer)}"
        ) from error
    if offer is not None and offer.is_bundled and (shadow := _shadow(offer)):
        raise DiscoveryError(f"plugin {offer.name!r} was not loaded from {DISTRIBUTION}{shadow}")
    try:
        return getattr(module, attribute.strip())
    except AttributeError:
        raise DiscoveryError(
            f"module {module_name!r} has no {attribute!r}{nearest(attribute, vars(module))}"
        ) from None


def _shadow(offer: Offer | None) -> str:
    """Name the folder that hides the bundled plugins, if one does."""
    plugins = sys.modules.get("plugins")
    if offer is None or not offer.is_bundled or plugins is None or plugins.__file__ is None:
        return ""
    home = Path(kernel.__file__).parent.parent
    actual = Path(plugins.__file__).parent
    if actual.parent == home:
        return ""
    return (
        f": {actual} comes before it on the Python path and shadows it; rename that folder or change the path"
    )


def order(records: Sequence[PluginRecord], provide: Mapping[str, str]) -> list[PluginRecord]:
    """Sort so that each plugin comes after the providers of what it requires or uses; the given order else.

    `provide` maps a contract's name to the plugin chosen for it. Raises `OrderError` for a provider that is
    missing, not chosen, or in a cycle.
    """
    by_name: dict[str, PluginRecord] = {}
    for record in records:
        other = by_name.setdefault(record.name, record)
        if other is not record:
            raise DiscoveryError(
                f"two plugins are called {record.name!r}: {other.source} and {record.source}; disable one of them"
            )
    providers = _providers(records, provide, by_name)
    needs: dict[str, list[PluginRecord]] = {}
    for record in records:
        needs[record.name] = [
            providers[contract]
            for contract in (*record.cls.requires, *record.cls.uses)
            if contract in providers and providers[contract] is not record
        ]
        for contract in record.cls.requires:
            if contract not in providers:
                raise OrderError(_missing(record, contract))
    ordered: list[PluginRecord] = []
    for record in records:
        _visit(record, needs, ordered, [])
    return ordered


def _providers(
    records: Iterable[PluginRecord], provide: Mapping[str, str], by_name: Mapping[str, PluginRecord]
) -> dict[type, PluginRecord]:
    offers: dict[type, list[PluginRecord]] = {}
    for record in records:
        for contract in record.cls.provides:
            offers.setdefault(contract, []).append(record)
    contracts = {contract.__name__: contract for contract in offers}
    for contract_name, plugin_name in provide.items():
        where = f'[provide] {contract_name} = "{plugin_name}"'
        if contract_name not in contracts:
            raise OrderError(
                f"{where}: no enabled plugin provides {contract_name}{nearest(contract_name, contracts)}"
            )
        chosen = by_name.get(plugin_name)
        candidates = offers[contracts[contract_name]]
        if chosen is None or chosen not in candidates:
            names = ", ".join(record.name for record in candidates)
            raise OrderError(f"{where}: that plugin does not provide it; choose one of: {names}")
        offers[contracts[contract_name]] = [chosen]
    for contract, candidates in offers.items():
        if len(candidates) > 1:
            names = " and ".join(repr(record.name) for record in candidates)
            raise OrderError(
                f"plugins {names} both provide {contract.__name__}; choose one in {FILE_NAME}: "
                f'[provide] {contract.__name__} = "{candidates[0].name}"'
            )
    return {contract: candidates[0] for contract, candidates in offers.items()}


def _missing(record: PluginRecord, contract: type) -> str:
    problem = f"plugin {record.name!r} requires {contract.__name__}, which nothing enabled provides"
    name = _bundled_provider(contract)
    if name is not None:
        return f"{problem}; enable {name!r}: kernel plugins enable {name}"
    return f"{problem}; enable a plugin that does, or: kernel plugins disable {record.name}"


def _bundled_provider(contract: type) -> str | None:
    for name, offer in installed().items():
        if not offer.is_bundled:
            continue
        try:
            cls = _import(offer.value, offer)
        except DiscoveryError:
            continue  # This is for a hint alone: a plugin that is not enabled need not be importable.
        if isinstance(cls, type) and issubclass(cls, Plugin) and contract in cls.provides:
            return name
    return None


def _visit(
    record: PluginRecord,
    needs: Mapping[str, Sequence[PluginRecord]],
    ordered: list[PluginRecord],
    path: list[PluginRecord],
) -> None:
    if record in ordered:
        return
    if record in path:
        names = " -> ".join(step.name for step in (*path[path.index(record) :], record))
        raise OrderError(
            f"plugins require one another in a circle: {names}; one of them must give up a contract or be disabled: "
            f"kernel plugins disable {record.name}"
        )
    for needed in needs[record.name]:
        _visit(needed, needs, ordered, [*path, record])
    ordered.append(record)

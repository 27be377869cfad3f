"""PostgREST's configuration in our settings: the one place that knows which of its names is which of ours."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from plugins.keys.settings import KeysSettings
from plugins.rest.settings import RestSettings

SECRET = b"reallyreallyreallyreallyverysafe"

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
_SECTIONS: Mapping[str, type[msgspec.Struct]] = {"rest": RestSettings, "keys": KeysSettings}

Settings = Mapping[str, Mapping[str, Any]]


class NotApplicable(Exception):
    """A value that the setting cannot take here."""


def _names(source: str) -> list[str]:
    return [json.loads(text) for text in _STRINGS.findall(source)]


def _number(source: str) -> int:
    return int(source.removeprefix("Just "))


def _flag(source: str) -> bool:
    return source == "True"


def _secret(source: str) -> str:
    # The suite's other secret is the same text, decoded from base64.
    if source != "Just generateSecret":
        raise NotApplicable
    return SECRET.decode()


def _openapi(source: str) -> str:
    modes = {
        "OAFollowPriv": "follow-privileges",
        "OAIgnorePriv": "ignore-privileges",
        "OADisabled": "disabled",
    }
    return modes[source]


def _identifier(source: str) -> str:
    return ".".join(_names(source))


# PostgREST's name, as the cases have it, to our section, our setting, and how a value is read. Where our plugin has no
# such setting yet, the name is the one to look for; it counts as not applied until the plugin knows it.
_OURS: Mapping[str, tuple[str, str, Callable[[str], Any]]] = {
    "configDbSchemas": ("rest", "schemas", _names),
    "configDbMaxRows": ("rest", "max_rows", _number),
    "configDbAggregates": ("rest", "aggregates", _flag),
    "configDbPlanEnabled": ("rest", "plans", _flag),
    "configDbPreRequest": ("rest", "pre_request", _identifier),
    "configDbRootSpec": ("rest", "root_function", _identifier),
    "configDbExtraSearchPath": ("rest", "extra_search_path", _names),
    "configUrlUseLegacyTargetNames": ("rest", "legacy_target_names", _flag),
    "configOpenApiMode": ("rest", "openapi", _openapi),
    "configClientErrorVerbosity": ("rest", "error_verbosity", str.lower),
    "configServerTimingEnabled": ("rest", "server_timing", _flag),
    "configJwtSecret": ("keys", "jwt_secret", _secret),
    "configJwtAudience": ("keys", "audience", _names),
}
# What SQLite refuses by name.
_ON_POSTGRESQL = frozenset({"configDbPreRequest"})
# These say again what another one says, or what cannot be seen from outside.
_IMPLIED = frozenset({"configJWKS", "configJwtCacheMaxEntries", "configDbPreparedStatements"})
# Two that are one of ours.
_ENDS = ("configDbTxAllowOverride", "configDbTxRollbackAll")
_TX_END = ("rest", "tx_end")

_BASE: Mapping[str, str] = {
    "configDbSchemas": 'fromList [ "test" ]',
    "configDbPreRequest": 'Just $ QualifiedIdentifier "test" "switch_role"',
    "configUrlUseLegacyTargetNames": "True",
    "configServerTimingEnabled": "True",
    "configJwtSecret": "Just generateSecret",
}


def settings(config: Mapping[str, str], engine: str) -> dict[str, dict[str, Any]]:
    """Return the sections of ``kernel.toml`` for a case's `config`, which goes before the suite's own."""
    sections: dict[str, dict[str, Any]] = {}
    for name, source in {**_BASE, **config}.items():
        found = _applied(name, source, engine)
        if found is not None:
            section, setting, value = found
            sections.setdefault(section, {})[setting] = value
    if _known(*_TX_END):
        sections[_TX_END[0]][_TX_END[1]] = _end(config)
    return sections


def not_applied(config: Mapping[str, str], engine: str) -> list[str]:
    """Return the overrides of a case that nothing here can be told."""
    without = [name for name in config if name not in _IMPLIED and name not in _ENDS]
    lost = [name for name in without if _applied(name, config[name], engine) is None]
    if any(name in config for name in _ENDS) and not _known(*_TX_END):
        lost.append("db-tx-end")
    return lost


def _applied(name: str, source: str, engine: str) -> tuple[str, str, Any] | None:
    ours = _OURS.get(name)
    if engine == "sqlite" and name in _ON_POSTGRESQL:
        return None
    if ours is None or not _known(ours[0], ours[1]):
        return None
    section, setting, read = ours
    try:
        return section, setting, read(source)
    except NotApplicable:
        return None


def _known(section: str, setting: str) -> bool:
    return setting in {field.encode_name for field in msgspec.structs.fields(_SECTIONS[section])}


def _end(config: Mapping[str, str]) -> str:
    """Return ``db-tx-end`` as PostgREST words it."""
    end = "rollback" if _flag(config.get(_ENDS[1], "True")) else "commit"
    return f"{end}-allow-override" if _flag(config.get(_ENDS[0], "True")) else end

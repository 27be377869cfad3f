"""kernel.toml and the environment, read into one typed settings struct per plugin."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from hmac import compare_digest
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from kernel.errors import ConfigError, nearest

FILE_NAME = "kernel.toml"
RESERVED = ("kernel", "plugins", "provide")
_PREFIX = "KERNEL_"
_PASSWORD = re.compile(r"(?<=://)([^/?#:@]*:)[^/?#]*(?=@)|([?&](?:ssl)?password=)[^&#]*")

S = TypeVar("S", bound=msgspec.Struct)


class Secret:
    """A setting that does not show itself: repr, logs and ``config show`` hide it; `reveal` tells it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret text."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    @property
    def shown(self) -> str:
        """What may be shown of it."""
        return "********" if self._value else ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shown!r})"


class SecretURL(Secret):
    """A URL that may hold a password, which alone is hidden."""

    __slots__ = ()

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return _PASSWORD.sub(r"\1\2********", self._value)


class KernelSettings(msgspec.Struct, frozen=True):
    """The kernel's own section, ``[kernel]``."""

    data: Annotated[
        str, msgspec.Meta(description="Folder for everything kept on disk; created with mode 0700.")
    ] = "data"
    host: Annotated[str, msgspec.Meta(description="Address that `kernel serve` listens on.")] = "127.0.0.1"
    port: Annotated[
        int,
        msgspec.Meta(ge=0, le=65535, description="Port that `kernel serve` listens on; 0 takes a free one."),
    ] = 8000
    workers: Annotated[int, msgspec.Meta(ge=1, le=64, description="Serving processes.")] = 1
    threads: Annotated[
        int, msgspec.Meta(ge=1, le=256, description="Threads per process for handlers that may block.")
    ] = 4
    max_body_bytes: Annotated[
        int, msgspec.Meta(ge=0, description="Largest request body of a route that sets no limit of its own.")
    ] = 1 << 20
    body_timeout_seconds: Annotated[
        float, msgspec.Meta(gt=0, description="Longest wait for the next piece of a request body.")
    ] = 30.0
    grace_seconds: Annotated[
        float, msgspec.Meta(ge=0, description="How long requests in flight may take to finish on a stop.")
    ] = 10.0
    cors_origins: Annotated[
        tuple[str, ...], msgspec.Meta(description="Origins whose pages may call this server; '*' is any.")
    ] = ("*",)


class PluginChoice(msgspec.Struct, frozen=True):
    """The section ``[plugins]``: which plugins run."""

    enable: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Plugins to run besides the default set: entry-point names or module:Class."
        ),
    ] = ()
    disable: Annotated[
        tuple[str, ...], msgspec.Meta(description="Plugins of the default set not to run.")
    ] = ()


class Config:
    """What an operator has said: ``kernel.toml`` first, then ``.env``, then the environment.

    A variable ``KERNEL_<PLUGIN>__<FIELD>`` sets one field; deeper fields are reached with more double
    underscores; lists and tables are written as JSON.
    """

    def __init__(
        self,
        tables: Mapping[str, Mapping[str, Any]] | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        project: Path | None = None,
    ) -> None:
        self.project = project or Path.cwd()
        self.file = self.project / FILE_NAME
        self.tables = {name: dict(table) for name, table in (tables or {}).items()}
        self.variables = _variables(environ or {})

    @classmethod
    def load(cls, project: Path, environ: Mapping[str, str] | None = None) -> Config:
        """Read a project folder; a missing ``kernel.toml`` is an empty one. Raises `ConfigError`."""
        path = project / FILE_NAME
        tables: dict[str, Any] = {}
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            pass
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not valid TOML: {error}") from error
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
        for name, table in tables.items():
            if not isinstance(table, dict):
                raise ConfigError(
                    f"{path}: {name!r} stands outside a section; write it under [kernel] or a plugin's name"
                )
        return cls(
            tables, {**_dotenv(project), **(os.environ if environ is None else environ)}, project=project
        )

    def settings(self, section: str, kind: type[S]) -> S:
        """Fill `kind` from a section and its variables; `ConfigError` names what is wrong, where, and what fits."""
        values, problems = self._values(section, kind)
        if problems:
            raise problems[0]
        try:
            return kind(**values)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{self.file}: [{section}]: {error}") from error

    def problems(self, section: str, kind: type[msgspec.Struct]) -> list[ConfigError]:
        """Return everything that is wrong with a section; `settings` raises the first of it."""
        problems = self._values(section, kind)[1]
        if not problems:
            try:
                self.settings(section, kind)
            except ConfigError as error:
                problems.append(error)
        return problems

    def _values(self, section: str, kind: type[msgspec.Struct]) -> tuple[dict[str, Any], list[ConfigError]]:
        table = self.tables.get(section, {})
        variables = self.variables.get(section, {})
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        problems = [
            ConfigError(
                f"{self._where(section, key)}: unknown setting{nearest(key, fields)}{_listed(fields)}"
            )
            for key in dict.fromkeys((*table, *variables))
            if key not in fields
        ]
        values: dict[str, Any] = {}
        for key, field in fields.items():
            try:
                if key in variables:
                    value = _overlay(table.get(key), variables[key])
                    values[field.name] = self._convert(section, key, value, field.type, strict=False)
                elif key in table:
                    values[field.name] = self._convert(section, key, table[key], field.type, strict=True)
                elif field.required:
                    raise ConfigError(
                        f"{self.file}: [{section}] {key} is missing; plugin {section!r} needs it"
                    )
            except ConfigError as error:
                problems.append(error)
        return values, problems

    def source(self, section: str, key: str) -> str:
        """Tell where a setting's value comes from: an environment variable, the file, or ``default``."""
        if key in self.variables.get(section, {}):
            return variable(section, key)
        return FILE_NAME if key in self.tables.get(section, {}) else "default"

    def provide(self) -> dict[str, str]:
        """Return the section ``[provide]``: contract name to plugin name."""
        choices = {**self.tables.get("provide", {}), **self.variables.get("provide", {})}
        for contract, plugin in choices.items():
            if not isinstance(plugin, str):
                raise ConfigError(f"{self.file}: [provide] {contract} must name a plugin in quotes")
        return choices

    def check_sections(self, known: Iterable[str]) -> None:
        """Refuse a section, or a variable, that belongs to no plugin known here."""
        for problem in self.unknown_sections(known):
            raise problem

    def unknown_sections(self, known: Iterable[str]) -> list[ConfigError]:
        """Return what is wrong with every section, and variable, that belongs to no plugin known here."""
        names = {*known, *RESERVED}
        problems = [
            ConfigError(f"{self.file}: [{section}] belongs to no installed plugin{nearest(section, names)}")
            for section in self.tables
            if section not in names
        ]
        for section, variables in self.variables.items():
            if section not in names:
                name = variable(section, next(iter(variables)))
                problems.append(
                    ConfigError(f"{name}: no installed plugin is called {section!r}{nearest(section, names)}")
                )
        return problems

    def _where(self, section: str, key: str) -> str:
        source = self.source(section, key)
        return source if source.startswith(_PREFIX) else f"{self.file}: [{section}] {key}"

    def _convert(self, section: str, key: str, value: Any, kind: Any, *, strict: bool) -> Any:
        try:
            if not strict and isinstance(value, str):
                return _from_text(value, kind)
            return msgspec.convert(value, kind, strict=strict, dec_hook=_decode_secret)
        except (msgspec.ValidationError, ValueError) as error:
            raise ConfigError(f"{self._where(section, key)}: {error}") from None


def hidden(value: Any) -> Any:
    """Return a setting's value as plain data, with asterisks for what is secret in it."""
    return msgspec.to_builtins(value, enc_hook=lambda inner: inner.shown)


def schema(sections: Mapping[str, type[msgspec.Struct]]) -> dict[str, Any]:
    """Return the JSON Schema of a whole ``kernel.toml`` for editors; `sections` maps plugin names to settings."""
    kinds: dict[str, type[msgspec.Struct]] = {
        "kernel": KernelSettings,
        "plugins": PluginChoice,
        **sections,
    }
    schemas, components = msgspec.json.schema_components(
        [_described(kind) for kind in kinds.values()],
        ref_template="#/$defs/{name}",
        schema_hook=lambda kind: {"type": "string"},
    )
    for component in components.values():
        if component.get("type") == "object":
            component["additionalProperties"] = False
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": FILE_NAME,
        "type": "object",
        "properties": {
            **dict(zip(kinds, schemas, strict=True)),
            "provide": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "additionalProperties": False,
        "$defs": components,
    }


def _described(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return `kind`, or its like with secrets whose default is not told: a JSON Schema could not hold it."""
    fields = msgspec.structs.fields(kind)
    if not any(isinstance(field.default, Secret) for field in fields):
        return kind
    copies = []
    for field in fields:
        default: dict[str, Any] = {"default": field.default, "default_factory": field.default_factory}
        if isinstance(field.default, SecretURL):
            default["default"] = field.default.shown
        elif isinstance(field.default, Secret):
            default = {"default_factory": object}
        copies.append((field.name, field.type, msgspec.field(name=field.encode_name, **default)))
    return msgspec.defstruct(
        kind.__name__, copies, module=kind.__module__, kw_only=True, namespace={"__doc__": kind.__doc__}
    )


def _variables(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for variable, text in environ.items():
        section, separator, rest = variable.removeprefix(_PREFIX).partition("__")
        if not (variable.startswith(_PREFIX) and separator and section and rest):
            continue
        exact = section == "PROVIDE"
        place = found.setdefault(section.lower(), {})
        *parents, last = (rest if exact else rest.lower()).split("__")
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = text
    return found


def variable(section: str, key: str) -> str:
    """Return the name of the environment variable that sets a field of a section."""
    return f"{_PREFIX}{section.upper()}__{key if section == 'provide' else key.upper()}"


def _dotenv(project: Path) -> dict[str, str]:
    path = project / ".env"
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    return {key: value for key, value in dotenv_values(path).items() if value is not None}


def _overlay(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {**below, **{key: _overlay(below.get(key), value) for key, value in above.items()}}


def _from_text(text: str, kind: Any) -> Any:
    try:
        return msgspec.convert(text, kind, strict=False, dec_hook=_decode_secret)
    except msgspec.ValidationError:
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            value = None
        if not isinstance(value, list | dict):
            raise
        return msgspec.convert(value, kind, strict=False, dec_hook=_decode_secret)


def _decode_secret(kind: type, value: Any) -> Any:
    if issubclass(kind, Secret) and isinstance(value, str):
        return kind(value)
    expected = "str" if issubclass(kind, Secret) else kind.__name__
    raise ValueError(f"Expected {expected}, got {type(value).__name__}")


def _listed(fields: Mapping[str, Any]) -> str:
    return f" (known: {', '.join(sorted(fields))})" if fields else " (this plugin has no settings)"

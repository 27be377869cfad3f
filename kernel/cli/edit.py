"""Changes to ``[plugins]`` in kernel.toml that keep its comments, and only such as leave a kernel that works."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from kernel.cli.base import Project, atomic
from kernel.config import FILE_NAME, Config, PluginChoice
from kernel.discovery import installed
from kernel.errors import ConfigError, KernelError, describe, nearest
from kernel.kernel import Kernel

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


class Choice:
    """``[plugins]`` of one project, to be edited and then written."""

    def __init__(self, project: Project) -> None:
        """Read the file; raises `ConfigError` where it is not TOML."""
        import tomlkit

        self._config = project.config()
        self._choice = self._config.settings("plugins", PluginChoice)
        self._before = _problem(self._config)
        file = self._config.file
        self._document = tomlkit.parse(file.read_text(encoding="utf-8") if file.exists() else "")
        self._offers = installed()

    def enable(self, name: str) -> bool:
        """Enable a plugin by entry-point name or ``module:Class``; return whether that changes anything."""
        self._check_known(name)
        default = self._is_default(name)
        if name not in self._choice.disable and (default or name in self._choice.enable):
            return False
        _drop(self._document, "disable", name)
        if not default and name not in self._choice.enable:
            _add(self._document, "enable", name)
        return True

    def disable(self, name: str) -> bool:
        """Disable a plugin that is enabled; return whether that changes anything."""
        default = self._is_default(name)
        if not default and name not in self._choice.enable:
            self._check_known(name)
            return False
        if name in self._choice.disable:
            return False
        _drop(self._document, "enable", name)
        if default:
            _add(self._document, "disable", name)
        return True

    def write(self, wanted: Callable[[PluginChoice], bool]) -> str | None:
        """Write the file, unless the kernel would no longer register, or `wanted` is not what it then reads.

        Returns what was wrong already and still is. A problem that is new is raised, and the file untouched.
        """
        after = deepcopy(self._config)
        after.tables = self._document.unwrap()
        choice = after.settings("plugins", PluginChoice)
        if not wanted(choice):
            raise KernelError(
                f"{FILE_NAME} cannot change this, because the environment or .env sets KERNEL_PLUGINS__ENABLE "
                "or KERNEL_PLUGINS__DISABLE; change it there"
            )
        problem = _problem(after)
        if problem is not None and self._before is None:
            raise KernelError(f"not changed, as the kernel could not start then: {problem}")
        with atomic(self._config.file) as path:
            path.write_text(self._document.as_string(), encoding="utf-8")
        return problem

    def _is_default(self, name: str) -> bool:
        return name in self._offers and self._offers[name].is_bundled

    def _check_known(self, name: str) -> None:
        if name in self._offers or ":" in name:
            return
        raise KernelError(
            f"no installed plugin is called {name!r}; see what there is: kernel plugins list"
            f"{nearest(name, self._offers)}"
        )


def _problem(config: Config) -> str | None:
    """Return why a kernel cannot be registered with this configuration, or None where it can."""
    try:
        Kernel(config, role="command").register()
    except KernelError as error:
        return describe(error)
    return None


def _array(document: TOMLDocument, key: str) -> Any:
    import tomlkit

    table = document.setdefault("plugins", tomlkit.table())
    if not isinstance(table.get(key, []), list):
        raise ConfigError(f"{FILE_NAME}: [plugins] {key} must be a list of names in quotes")
    if key not in table:
        table[key] = tomlkit.array()
    return table[key]


def _add(document: TOMLDocument, key: str, name: str) -> None:
    _array(document, key).append(name)


def _drop(document: TOMLDocument, key: str, name: str) -> None:
    if key in document.get("plugins", {}):
        names = _array(document, key)
        while name in names:
            names.remove(name)

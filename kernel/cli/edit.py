"""Changes to ``[plugins]`` in kernel.toml that keep its comments, and only such as leave a kernel that works."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from kernel.cli.base import Project, atomic
from kernel.config import FILE_NAME, Config, PluginChoice
from kernel.discovery import installed
from kernel.errors import KernelError, describe, nearest
from kernel.kernel import Kernel

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


class Choice:
    """One plugin's place in ``[plugins]`` of a project: whether it is enabled, to be changed and then written."""

    def __init__(self, project: Project, name: str) -> None:
        """Read the file; raises `ConfigError` where it is not TOML, `KernelError` where no plugin is called so."""
        self._name = name
        self._config = project.config()
        offers = installed()
        self._is_default = name in offers and offers[name].is_bundled
        self._before = _problem(self._config)
        self.is_enabled = self._enabled_by(self._config)
        if not (self.is_enabled or name in offers or ":" in name):
            raise KernelError(
                f"no installed plugin is called {name!r}; see what there is: kernel plugins list"
                f"{nearest(name, offers)}"
            )

    def enable(self) -> str | None:
        """Write that the plugin is enabled; returns and raises what `disable` does."""
        return self._write(None if self._is_default else "enable")

    def disable(self) -> str | None:
        """Write that the plugin is not enabled.

        Returns what was wrong already and still is. Raises `KernelError`, with the file untouched, where the kernel
        would no longer register, or where the environment decides.
        """
        return self._write("disable" if self._is_default else None)

    def _enabled_by(self, config: Config) -> bool:
        choice = config.settings("plugins", PluginChoice)
        return (self._is_default or self._name in choice.enable) and self._name not in choice.disable

    def _write(self, key: str | None) -> str | None:
        """Move the name to the list `key`, or to none; `is_enabled` is what it was before."""
        import tomlkit

        file = self._config.file
        document = tomlkit.parse(file.read_text(encoding="utf-8") if file.exists() else "")
        _move(document, self._name, key)
        after = deepcopy(self._config)
        after.tables = document.unwrap()
        if self._enabled_by(after) == self.is_enabled:
            raise KernelError(
                f"{FILE_NAME} cannot change this, because the environment or .env sets KERNEL_PLUGINS__ENABLE "
                "or KERNEL_PLUGINS__DISABLE; change it there"
            )
        problem = _problem(after)
        if problem is not None and self._before is None:
            raise KernelError(f"not changed, as the kernel could not start then: {problem}")
        with atomic(file) as path:
            path.write_text(document.as_string(), encoding="utf-8")
        return problem


def _problem(config: Config) -> str | None:
    """Return why a kernel cannot be registered with this configuration, or None where it can."""
    try:
        Kernel(config, role="command").register()
    except KernelError as error:
        return describe(error)
    return None


def _move(document: TOMLDocument, name: str, key: str | None) -> None:
    """Take a name out of the lists of ``[plugins]``, and write it into the one called `key`."""
    import tomlkit

    table: Any = document.get("plugins", {})
    for names in (table.get("enable", []), table.get("disable", [])):
        while name in names:
            names.remove(name)
    if key is not None:
        table = document.setdefault("plugins", tomlkit.table())
        if key not in table:
            table[key] = tomlkit.array()
        table[key].append(name)

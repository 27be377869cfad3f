"""Writes a third-party plugin as a package of its own; examples/greeting is the like of it."""

from __future__ import annotations

import json
import keyword
import re
import sys
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from kernel.cli.base import TEMPLATES, write_files
from kernel.config import RESERVED
from kernel.discovery import DISTRIBUTION, installed
from kernel.errors import KernelError

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


class Made(msgspec.Struct, frozen=True):
    """A package that was written: its folder, its import name and its files, relative to the folder."""

    folder: Path
    package: str
    files: tuple[str, ...]


def write_plugin(parent: Path, name: str) -> Made:
    """Write the plugin `name` into a new folder of that name; raises `KernelError` and writes nothing if it cannot."""
    package = name.replace("-", "_")
    _check_name(name, package)
    folder = parent / name
    if folder.exists():
        raise KernelError(f"{folder} is there already; choose another name, or another folder by --project")
    files = render(
        distribution=name,
        package=package,
        plugin=package,
        sources=kernel_source(distribution(DISTRIBUTION).read_text("direct_url.json")),
    )
    write_files(parent, {folder / path: text for path, text in files.items()})
    return Made(folder, package, tuple(files))


def render(*, distribution: str, package: str, plugin: str, sources: str) -> dict[str, str]:
    """Return the files of a plugin's package: path to text."""
    values = {
        "@distribution@": distribution,
        "@package@": package,
        "@plugin@": plugin,
        "@VARIABLE@": plugin.upper(),
        "@Class@": "".join(word.capitalize() for word in plugin.split("_")),
        "@kernel@": ".".join(_kernel_version().split(".")[:2]),
        "@sources@": sources,
    }
    root = TEMPLATES / "plugin"
    files = {}
    for path in sorted(root.rglob("*.in")):
        text = path.read_text(encoding="utf-8")
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        files[_target(path.relative_to(root), package, plugin)] = text
    return files


def kernel_source(direct_url: str | None) -> str:
    """Return the ``[tool.uv.sources]`` with which uv finds the kernel where this one came from.

    `direct_url` is the text of its ``direct_url.json`` (PEP 610), None for a kernel from an index, which needs no
    such section.
    """
    if direct_url is None:
        return ""
    origin = json.loads(direct_url)
    url = origin["url"]
    if "vcs_info" in origin:
        source = {"git": url, "rev": origin["vcs_info"]["commit_id"]}
    elif urlsplit(url).scheme != "file":
        source = {"url": url}
    elif "dir_info" in origin:
        source = {"path": unquote(urlsplit(url).path), "editable": True}
    else:
        source = {"path": unquote(urlsplit(url).path)}
    # JSON's texts and booleans are written like TOML's.
    fields = ", ".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in source.items())
    return f"\n[tool.uv.sources]\n{DISTRIBUTION} = {{ {fields} }}\n"


def _kernel_version() -> str:
    return distribution(DISTRIBUTION).version


def _target(template: Path, package: str, plugin: str) -> str:
    name = template.name.removesuffix(".in")
    name = {"gitignore": ".gitignore", "test_plugin.py": f"test_{plugin}.py"}.get(name, name)
    folder = package if template.parts[0] == "package" else str(template.parent)
    return str(Path(folder) / name)


def _check_name(name: str, package: str) -> None:
    if not _NAME.fullmatch(name):
        suggestion = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")
        hint = f", like {suggestion!r}" if suggestion else ""
        raise KernelError(
            f"{name!r} cannot name a plugin; use lower-case letters, digits and single hyphens, letters first{hint}"
        )
    if package in installed():
        raise KernelError(f"a plugin called {package!r} is installed already; choose another name")
    reserved = keyword.iskeyword(package) or keyword.issoftkeyword(package)
    takers = {
        "Python itself has something": reserved or package in sys.stdlib_module_names,
        "a section of kernel.toml is": package in RESERVED,
        "an installed package is": package in packages_distributions(),
    }
    for taker, taken in takers.items():
        if taken:
            raise KernelError(
                f"{name!r} cannot name a plugin, as {taker} called so; choose another, like 'kernel-{name}'"
            )

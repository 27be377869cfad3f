"""What a project begins with: the files that its plugins start it off with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kernel.cli.base import write_files
from kernel.config import Config, KernelSettings

if TYPE_CHECKING:
    from kernel.kernel import Kernel


def is_untouched(config: Config) -> bool:
    """Tell whether nobody has made a project of a folder, and no server has run in it."""
    data = config.settings("kernel", KernelSettings).data
    return not (config.file.exists() or (config.project / data).exists())


def write_starters(kernel: Kernel) -> list[Path]:
    """Write the starter files of a registered kernel's plugins into its project; return their paths.

    A first table, say, that is the project's own: there to be seen, changed and deleted. A file is left out where
    the project has the topmost folder of its path already.
    """
    folder = kernel.config.project
    wanted = {
        Path(name): text for files in kernel.hooks.kernel_starter_files() for name, text in files.items()
    }
    files = {folder / path: text for path, text in wanted.items() if not (folder / path.parts[0]).exists()}
    write_files(folder, files)
    return list(files)


def remove_starters(project: Path, paths: list[Path]) -> None:
    """Take back files that nothing has come of, and the folders that this leaves empty."""
    for path in paths:
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == project or any(folder.iterdir()):
                break
            folder.rmdir()

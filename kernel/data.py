"""The data folder: where a deployment keeps what is on disk, and the lock that its processes share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kernel.errors import ConfigError


class DataFolder:
    """A folder that is made when it is needed; without a path, a temporary one that nobody else knows."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._is_made = False
        self._is_shared = path is not None

    @property
    def path(self) -> Path:
        """Where it is; it need not be there yet."""
        if self._path is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="kernel-")
            self._path = Path(self._temporary.name)
        return self._path

    def made(self) -> Path:
        """Return where it is, once it is there and can be written; raises `ConfigError` where that cannot be."""
        if not self._is_made:
            try:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self.path):
                    pass
            except OSError as error:
                raise ConfigError(
                    f"the data folder {self.path} cannot be written: {error.strerror}; "
                    "make it writable, or name another: [kernel] data, or KERNEL_KERNEL__DATA"
                ) from error
            self._is_made = True
        return self.path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock alone; waits for whoever has it. The system lets go when a process dies."""
        if not self._is_shared:
            yield
            return
        import fcntl

        with (self.made() / ".lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def remove(self) -> None:
        """Remove a temporary folder; another one stays."""
        if self._temporary is not None:
            self._temporary.cleanup()

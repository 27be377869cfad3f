"""Kernels for tests: chosen plugins, settings and migrations; a frozen clock; everything in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernel.config import Config, PluginChoice
from kernel.discovery import discover, installed, load, make_importable
from kernel.kernel import Kernel
from kernel.plugin import Plugin
from kernel.testing.client import Client
from kernel.testing.images import Images
from kernel.testing.recorder import Recorder, RecordingBus
from kernel.testing.sources import START, CountedIds, FrozenClock, SeededRandom

if TYPE_CHECKING:
    from kernel.testing.policy_coverage import PolicyCoverage

Tables = Mapping[str, Mapping[str, Any]]

_IN_MEMORY = "sqlite:///:memory:"
_PREPARING, _STARTING, _READY = 1 << 40, 2 << 40, 1


class KernelUnderTest(Kernel):
    """A kernel with a clock, ids and randomness that a test controls, a recorder and a client.

    `policy_coverage` gathers what assertions on rights exercise, in a run that was asked for it.
    """

    clock: FrozenClock
    ids: CountedIds
    random: SeededRandom
    policy_coverage: PolicyCoverage | None = None

    def __init__(
        self, config: Config, *, plugins: Sequence[type[Plugin]], now: datetime | str, images: Images
    ) -> None:
        super().__init__(
            config,
            plugins=plugins,
            role="test",
            clock=FrozenClock(now),
            ids=CountedIds(_PREPARING),
            random=SeededRandom("prepare"),
        )
        self.recorder = Recorder()
        self.events = RecordingBus(self.ids, self.recorder)
        self.client = Client(self)
        self._images = images

    def prepare(self) -> None:
        """Prepare from the image of an earlier kernel, or make it.

        Ids and randomness go on from the same place either way, whatever was drawn to migrate.
        """
        known = self._images.start_from(self)
        super().prepare()
        if not known:
            self._images.keep(self)
        self.ids.restart(_STARTING)
        self.random.restart("start")
        self.recorder.watch_hooks(self.manager)
        self.recorder.clear()

    def start(self) -> None:
        """Start; ids count from 1 afterwards."""
        super().start()
        self.ids.restart(_READY)
        self.random.restart()

    def __enter__(self) -> KernelUnderTest:
        """Return the kernel, which the factory has started already; it is stopped at the block's end."""
        return self

    def stop(self) -> None:
        """Stop, with the client's event loop."""
        self.client.close()
        super().stop()


class KernelFactory:
    """Makes started kernels; keeps what the later ones can reuse."""

    def __init__(self, folder: Path, policy_coverage: PolicyCoverage | None = None) -> None:
        """Use `folder`, which is there and empty, for projects made from `migrations`."""
        self._policy_coverage = policy_coverage
        self._folder = folder
        self._images = Images()
        self._bundled: tuple[type[Plugin], ...] | None = None
        self._named: dict[str, type[Plugin]] = {}

    def __call__(
        self,
        *,
        plugins: Sequence[type[Plugin] | str] | None = None,
        extra: Sequence[type[Plugin] | str] = (),
        settings: Tables | None = None,
        migrations: Mapping[str, str] | None = None,
        project: Path | None = None,
        now: datetime | str = START,
    ) -> KernelUnderTest:
        """Return a started kernel, which the caller stops.

        `plugins` are classes, entry-point names or ``module:Class``; None means all bundled ones; `extra` is
        added to either. `settings` are tables as in ``kernel.toml``. `migrations` maps file names to SQL.
        `project` names a folder whose ``kernel.toml``, ``.env``, migrations and modules are to be used; `settings`
        go before them. Nothing is taken from the environment, and the database is in memory unless `settings`
        say otherwise.
        """
        if project is not None:
            make_importable(project)
        classes = [*(self._default() if plugins is None else self._classes(plugins)), *self._classes(extra)]
        folder = project or self._project(migrations or {})
        written = Config.load(folder, {}).tables if project else {}
        tables = _merged(written, settings or {})
        if any(cls.name == "database" for cls in classes):
            given = (settings or {}).get("database", {})
            tables["database"] = {**tables.get("database", {}), "url": given.get("url", _IN_MEMORY)}
        config = Config(tables, {}, project=folder)
        kernel = KernelUnderTest(config, plugins=classes, now=now, images=self._images)
        kernel.start()
        if self._policy_coverage is not None:
            kernel.policy_coverage = self._policy_coverage
            kernel.policy_coverage.know(kernel)
        return kernel

    def _default(self) -> tuple[type[Plugin], ...]:
        if self._bundled is None:
            self._bundled = tuple(
                record.cls for record in discover(PluginChoice(), self._folder, installed())
            )
        return self._bundled

    def _classes(self, given: Sequence[type[Plugin] | str]) -> list[type[Plugin]]:
        return [self._named_class(plugin) if isinstance(plugin, str) else plugin for plugin in given]

    def _named_class(self, name: str) -> type[Plugin]:
        if name not in self._named:
            self._named[name] = load(name, installed()).cls
        return self._named[name]

    def _project(self, migrations: Mapping[str, str]) -> Path:
        """Return a folder that holds just these migrations; the same one for the same migrations."""
        text = repr(sorted(migrations.items()))
        folder = self._folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        if not folder.exists():
            (folder / "migrations").mkdir(parents=True)
            for name, sql in migrations.items():
                (folder / "migrations" / name).write_text(sql, encoding="utf-8")
        return folder


def _merged(below: Tables, above: Tables) -> dict[str, dict[str, Any]]:
    return {name: {**below.get(name, {}), **above.get(name, {})} for name in {**below, **above}}

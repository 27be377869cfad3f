"""Kernel: assembles plugins, starts them and stops them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import pluggy

from kernel.config import Config, KernelSettings, PluginChoice
from kernel.data import DataFolder
from kernel.dispatch import Dispatcher, RequestHooks
from kernel.errors import (
    EventError,
    HookError,
    KernelError,
    PhaseError,
    RouteError,
    ServiceError,
    nearest,
)
from kernel.events import EventBus
from kernel.hookspecs import KernelHooks
from kernel.http import Request, Response
from kernel.plugin import PROJECT, Plugin, PluginRecord, Status
from kernel.routing import Route, Router
from kernel.services import Services
from kernel.sources import Clock, Ids, Random, SystemClock, SystemIds, SystemRandom

if TYPE_CHECKING:
    import click

Role = Literal["http", "worker", "command", "test"]

WARM_SECONDS = 1.0

_log = logging.getLogger("kernel")


class Kernel:
    """One backend in one process.

    A life has nine phases; each may rely on all before it:

    1. **Discover.** The default set of bundled plugins, edited by ``[plugins] enable`` and ``disable``, becomes
       a list of classes. Only these classes are imported.
    2. **Order.** Each plugin comes after the providers of the contracts it requires or uses.
    3. **Configure.** ``[<plugin>]`` in ``kernel.toml`` and the environment fill each plugin's settings.
    4. **Register.** Plugins are constructed; their hook specifications, hook implementations, events and
       services become known. Nothing outside the process is touched yet.
    5. **Prepare.** Under a lock that all processes of the deployment share, each plugin does what needs doing
       once: folders, keys, migrations.
    6. **Start.** Each plugin opens its connections and starts its threads, knowing the process's `role`.
    7. **Freeze.** Routes are collected; routes and subscriptions close.
    8. **Ready.** Plugins are told; requests are answered.
    9. **Stop.** In reverse order, every plugin closes what it opened, also where another failed, and also when
       the boot broke off half-way.

    `register` goes through phases 1 to 4, `start` through all eight, `stop` through the last. A kernel lives
    once. Two kernels in one process share nothing.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        plugins: Sequence[type[Plugin]] | None = None,
        role: Role = "http",
        clock: Clock | None = None,
        ids: Ids | None = None,
        random: Random | None = None,
    ) -> None:
        """Take the configuration and the sources; `plugins`, where given, are all there are (no discovery)."""
        self.config = config or Config()
        self.role: Role = role
        self.clock: Clock = clock or SystemClock()
        self.ids: Ids = ids or SystemIds()
        self.random: Random = random or SystemRandom()
        self.settings = self.config.settings("kernel", KernelSettings)
        self.services = Services()
        self.events = EventBus(self.ids)
        self.router = Router()
        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(KernelHooks)
        self.records: list[PluginRecord] = []
        self.stopping = threading.Event()
        self.ready = False
        self.dispatcher: Dispatcher
        self._classes = plugins
        temporary = role == "test" and self.config.source("kernel", "data") == "default"
        self._data = DataFolder(None if temporary else (self.config.project / self.settings.data).resolve())
        self._registered = False
        self._cold: list[Callable[[], None]] = [self.router.warm_up]
        self._warming = threading.Timer(WARM_SECONDS, self._warm_up)
        self._warming.daemon = True

    @property
    def hooks(self) -> Any:
        """The hook callers, for plugins that declare specifications of their own: ``kernel.hooks.name(...)``."""
        return self.manager.hook

    @property
    def plugins(self) -> dict[str, Plugin]:
        """The registered plugins by name, in dependency order."""
        return {record.name: record.plugin for record in self.records if record.plugin is not None}

    @property
    def data(self) -> Path:
        """The data folder; a test's kernel has a temporary one of its own.

        Created when first asked for once all plugins are registered, so that a look at a project leaves no trace
        in it. Raises `ConfigError` where it cannot be created or written.
        """
        return self._data.made() if self._registered else self._data.path

    def locked(self) -> AbstractContextManager[None]:
        """Hold the lock that all processes of the deployment share; the kernel does while plugins prepare."""
        return self._data.locked()

    def register(self) -> None:
        """Go through discover, order, configure and register; raises a `KernelError` that names what is wrong."""
        from kernel.discovery import check, discover, installed, order

        if self._classes is None:
            choice = self.config.settings("plugins", PluginChoice)
            offers = installed()
            records = discover(choice, self.config.project, offers)
            self.config.check_sections([*offers, *(record.name for record in records)])
        else:
            records = [check(cls, "given") for cls in self._classes]
            self.config.check_sections(record.name for record in records)
        self.records = order(records, self.config.provide())
        for record in self.records:
            settings = self.config.settings(record.name, record.cls.Settings)
            with self._phase(record, "configure"):
                record.plugin = record.cls(self, settings)
        self._register_hooks()
        for record in self.records:
            self.events.declare(record.name, record.cls.events)
            self._provide(record)
            record.status = "registered"
        self._registered = True

    def prepare(self) -> None:
        """Go through prepare, after `register`; `start` does both, so only what starts nothing calls it."""
        with self.locked():
            self._each("kernel_prepare", "prepared")

    def start(self) -> None:
        """Go through all phases up to ready, register unless that is done; stop after a failure and raise it."""
        if not self._registered:
            self.register()
        try:
            self.prepare()
            self._each("kernel_start", "started")
            self._freeze()
            self._each("kernel_ready")
        except BaseException:
            with suppress(KernelError):  # logged by then, and less telling than what broke the boot off
                self.stop()
            raise
        self.ready = True
        if self.role == "http":
            self._warming.start()
        _log.info("ready", extra={"plugins": [record.name for record in self.records], "role": self.role})

    def warm_up(self, load: Callable[[], None]) -> None:
        """Have a plugin's `load` called by a background thread a second after the kernel is ready, if it serves.

        For slow imports that the first answer can do without: until `load` has run, whoever needs what it loads
        loads it on the way, so it may be called while that happens.
        """
        self._cold.append(load)

    def stop(self) -> None:
        """Stop every registered plugin, last first: some open what others ask for before anything starts.

        Failures are logged, and the first is raised once all have been asked.
        """
        if self.stopping.is_set():
            return
        self.ready = False
        self.stopping.set()
        _log.info("stopping", extra={"role": self.role})
        if self._warming.is_alive():
            self._warming.cancel()
            self._warming.join()
        failures: list[KernelError] = []
        for record in reversed(self.records):
            if record.status == "discovered":
                continue
            try:
                with self._phase(record, "kernel_stop"):
                    self._call(record, "kernel_stop")
                record.status = "stopped"
            except KernelError as error:
                _log.exception("plugin failed to stop", extra={"plugin": record.name})
                failures.append(error)
        self._data.remove()
        if failures:
            raise failures[0]

    def commands(self) -> Iterator[tuple[str, click.Command]]:
        """Yield the registered plugins' commands with their plugin's name; two of one name are an error."""
        owners: dict[str, str] = {}
        for record in self.records:
            with self._phase(record, "kernel_commands"):
                commands = list(self._call(record, "kernel_commands") or ())
            for command in commands:
                other = owners.setdefault(str(command.name), record.name)
                if other != record.name:
                    raise KernelError(
                        f"plugins {other!r} and {record.name!r} both have the command {command.name!r}"
                    )
                yield record.name, command

    def __enter__(self) -> Kernel:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _register_hooks(self) -> None:
        for record in self.records:
            for specifications in record.cls.hookspecs:
                try:
                    self.manager.add_hookspecs(specifications)
                except ValueError as error:
                    raise HookError(f"plugin {record.name!r}: {error}") from error
        known = {name for name in vars(self.manager.hook) if not name.startswith("_")}
        # pluggy calls the last registered first; registering in reverse makes that dependency order.
        for record in reversed(self.records):
            _check_marks(record, known)
            try:
                self.manager.register(record.plugin, record.name)
            except pluggy.PluginValidationError as error:
                raise HookError(f"plugin {record.name!r}: {' '.join(str(error).split())}") from error
        for name, caller in vars(self.manager.hook).items():
            for impl in [] if caller.has_spec() else caller.get_hookimpls():
                if not impl.optionalhook:
                    raise HookError(
                        f"plugin {impl.plugin_name!r} implements {name!r}, which is not a hook{nearest(name, known)}; "
                        "mark it @hookimpl(optionalhook=True) if its plugin may be absent"
                    )

    def _provide(self, record: PluginRecord) -> None:
        with self._phase(record, "kernel_services"):
            services = self._call(record, "kernel_services") or {}
        promised, given = set(record.cls.provides), set(services)
        if promised != given:
            names = ", ".join(sorted(contract.__name__ for contract in promised ^ given))
            raise ServiceError(
                f"plugin {record.name!r}: 'provides' and what kernel_services returns differ in: {names}; "
                "make the two agree"
            )
        chosen = self.config.provide()
        for contract, implementation in services.items():
            if chosen.get(contract.__name__, record.name) == record.name:
                self.services.provide(contract, implementation, owner=record.name)

    def collect_routes(self, untold: Callable[[PhaseError], None] | None = None) -> None:
        """Fill the router with the kernel's routes and every plugin's; raises `RouteError` and `PhaseError`.

        Part of `start`. Whoever only wants to look calls it after `register`, with a function `untold` that
        hears of a plugin that can tell its routes only once it has started.
        """
        self.router.add(
            "kernel", Route("GET", "/healthz", self._healthz, inline=True, summary="Is the process up?")
        )
        self.router.add("kernel", Route("GET", "/readyz", self._readyz, summary="Can it do its work?"))
        for record in self.records:
            try:
                with self._phase(record, "kernel_routes"):
                    routes: Iterable[Any] = list(self._call(record, "kernel_routes") or ())
            except PhaseError as error:
                if untold is None:
                    raise
                untold(error)
                continue
            for route in routes:
                if not hasattr(route, "bind"):
                    raise RouteError(
                        f"plugin {record.name!r}: kernel_routes gave {route!r}, which is not a Route"
                    )
                self.router.add(record.name, route)

    def _freeze(self) -> None:
        self.collect_routes()
        self.router.freeze()
        self.events.freeze()
        hooks = RequestHooks(self.manager)
        if hooks.blocking and any(route.inline for route in self.router.routes if route.owner != "kernel"):
            _log.warning(
                "inline routes run in threads, because these request hooks are not declared @nonblocking",
                extra={"hooks": hooks.blocking},
            )
        self.dispatcher = Dispatcher(
            self.router,
            self.plugins,
            hooks,
            clock=self.clock,
            ids=self.ids,
            max_body_bytes=self.settings.max_body_bytes,
            cors_origins=self.settings.cors_origins,
        )

    def _warm_up(self) -> None:
        for load in self._cold:
            try:
                load()
            except Exception:
                _log.exception("warming up failed; the first request that needs this will fail too")

    def _each(self, hook: str, status: Status | None = None) -> None:
        for record in self.records:
            with self._phase(record, hook):
                self._call(record, hook)
            if status is not None:
                record.status = status

    def _call(self, record: PluginRecord, hook: str) -> Any:
        """Call one plugin's implementation of a lifecycle hook, so that a failure has a name."""
        for impl in getattr(self.manager.hook, hook).get_hookimpls():
            if impl.plugin is record.plugin:
                return impl.function()
        return None

    @contextmanager
    def _phase(self, record: PluginRecord, phase: str) -> Iterator[None]:
        try:
            yield
        except KernelError as error:
            record.status = "failed"
            if isinstance(error, ServiceError | EventError):
                # The kernel's own registries do not know whose call it was.
                raise PhaseError(record.name, phase, error) from error
            raise
        except Exception as error:
            record.status = "failed"
            raise PhaseError(record.name, phase, error) from error

    def _healthz(self, request: Request) -> dict[str, str]:
        return {"status": "ok"}

    def _readyz(self, request: Request) -> Response:
        checks: dict[str, str] = {}
        for record in self.records:
            try:
                for name, problem in (self._call(record, "kernel_health") or {}).items():
                    checks[f"{record.name}.{name}"] = problem or "ok"
            except Exception:
                _log.exception("health check failed", extra={"plugin": record.name})
                checks[record.name] = "the check itself failed; see the log"
        well = self.ready and not self.stopping.is_set() and all(result == "ok" for result in checks.values())
        body = {"status": "ok" if well else "unavailable", "checks": checks}
        return Response.json(body, 200 if well else 503, {"cache-control": "no-store"})


def _check_marks(record: PluginRecord, known: set[str]) -> None:
    """Refuse a method that is named like a hook but not marked as an implementation: it would never be called."""
    for name in known:
        method: Callable[..., Any] | None = getattr(record.plugin, name, None)
        if callable(method) and not hasattr(method, f"{PROJECT}_impl"):
            raise HookError(
                f"plugin {record.name!r}: {name} is not marked with @hookimpl, so it would never be called"
            )

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click
import msgspec
import pluggy
import pytest

import kernel as public
from kernel import Event, Kernel, Plugin, Request, Response, Route, hookimpl, hookspec
from kernel.config import Config
from kernel.errors import (
    ConfigError,
    EventError,
    HookError,
    KernelError,
    PhaseError,
    RouteError,
    ServiceError,
)

if TYPE_CHECKING:
    from kernel.kernel import Role
    from tests.kernel.conftest import Build


class Store(Protocol):
    """A contract."""


class Opened(Event, frozen=True):
    name = "first.door.opened"


class FirstPlugin(Plugin):
    name = "first"
    events = (Opened,)
    stopped: list[str]

    @hookimpl
    def kernel_start(self) -> None:
        """Start."""

    @hookimpl
    def kernel_stop(self) -> None:
        STOPPED.append("first")


class SecondPlugin(Plugin):
    name = "second"

    @hookimpl
    def kernel_stop(self) -> None:
        STOPPED.append("second")


class LastPlugin(Plugin):
    name = "last"

    @hookimpl
    def kernel_stop(self) -> None:
        STOPPED.append("last")


STOPPED: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_stopped() -> None:
    STOPPED.clear()


def failing(phase: str, error: BaseException) -> type[Plugin]:
    """Make a plugin that raises in `phase`."""

    def fail(self: Plugin) -> None:
        raise error

    def stop(self: Plugin) -> None:
        STOPPED.append("second")

    members: dict[str, Any] = {"name": "second", "kernel_stop": hookimpl(stop)}
    if phase == "configure":
        members["__init__"] = lambda self, kernel, settings: fail(self)
    else:
        members[phase] = hookimpl(fail)
    return type("FailingPlugin", (Plugin,), members)


@pytest.mark.parametrize(
    ("phase", "stopped"),
    [
        ("configure", []),
        ("kernel_services", []),
        ("kernel_prepare", ["last", "second", "first"]),
        ("kernel_start", ["last", "second", "first"]),
        ("kernel_routes", ["last", "second", "first"]),
        ("kernel_ready", ["last", "second", "first"]),
    ],
)
def test_a_plugin_that_raises_is_named_with_phase_and_cause_and_what_began_is_stopped(
    build: Build, phase: str, stopped: list[str]
) -> None:
    kernel = build(FirstPlugin, failing(phase, OSError("disk full")), LastPlugin)
    with pytest.raises(PhaseError) as raised:
        kernel.start()
    assert str(raised.value) == f"plugin 'second' failed in {phase}: OSError: disk full"
    assert isinstance(raised.value.__cause__, OSError)
    assert stopped == STOPPED
    assert kernel.ready is False


def test_a_plugin_that_raises_while_stopping_does_not_spare_the_others(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    for error in (OSError("stuck"), KernelError("stuck")):
        STOPPED.clear()
        kernel = build(FirstPlugin, failing("kernel_stop", error), LastPlugin)
        kernel.start()
        with pytest.raises(KernelError, match="stuck"):
            kernel.stop()
        assert STOPPED == ["last", "first"]
        assert "plugin failed to stop" in caplog.text


def test_a_failure_to_stop_does_not_hide_why_the_boot_failed(build: Build) -> None:
    class StuckPlugin(Plugin):
        name = "stuck"

        @hookimpl
        def kernel_stop(self) -> None:
            raise OSError("stuck")

    kernel = build(FirstPlugin, StuckPlugin, failing("kernel_start", LookupError("the cause")))
    with pytest.raises(PhaseError, match="'second' failed in kernel_start: LookupError: the cause"):
        kernel.start()
    assert STOPPED == ["second", "first"]


def test_an_interrupted_boot_stops_too(build: Build) -> None:
    kernel = build(FirstPlugin, failing("kernel_start", KeyboardInterrupt()), LastPlugin)
    with pytest.raises(KeyboardInterrupt):
        kernel.start()
    assert STOPPED == ["last", "second", "first"]


def test_stopping_asks_what_was_only_registered_and_nobody_before(build: Build) -> None:
    build(FirstPlugin).stop()
    assert STOPPED == []
    kernel = build(FirstPlugin)
    kernel.register()
    kernel.stop()
    assert STOPPED == ["first"]


def test_a_block_starts_and_stops(build: Build) -> None:
    with build(FirstPlugin, SecondPlugin) as kernel:
        assert kernel.ready is True
        assert list(kernel.plugins) == ["first", "second"]
        assert not kernel.stopping.is_set()
    assert (kernel.ready, kernel.stopping.is_set()) == (False, True)
    assert STOPPED == ["second", "first"]


def refused(
    build: Build, error: type[KernelError], message: str, *plugins: type[Plugin], **tables: Any
) -> None:
    kernel = build(*plugins, tables=tables)
    with pytest.raises(error, match=message):
        kernel.start()


def test_a_misspelt_hook_is_refused_with_the_nearest(build: Build) -> None:
    class WrongPlugin(Plugin):
        name = "wrong"

        @hookimpl
        def kernel_strat(self) -> None:
            """Never called."""

    refused(
        build, HookError, r"'wrong' implements 'kernel_strat', .*did you mean 'kernel_start'\?", WrongPlugin
    )


def test_a_hook_that_is_not_marked_is_refused(build: Build) -> None:
    class WrongPlugin(Plugin):
        name = "wrong"

        def kernel_start(self) -> None:
            """Never called."""

    refused(build, HookError, "'wrong': kernel_start is not marked with @hookimpl", WrongPlugin)


def test_a_hook_with_a_wrong_argument_is_refused(build: Build) -> None:
    class WrongPlugin(Plugin):
        name = "wrong"

        @hookimpl
        def kernel_before_request(self, requset: Request) -> None:
            """Never called."""

    refused(build, HookError, r"plugin 'wrong': .*kernel_before_request.*requset", WrongPlugin)


@pytest.mark.parametrize("hook", ["kernel_identify", "kernel_before_request", "kernel_after_request"])
def test_a_wrapped_request_hook_is_refused(build: Build, hook: str) -> None:
    def wrap(self: Plugin) -> Iterator[None]:
        yield

    wrapping = type("WrongPlugin", (Plugin,), {"name": "wrong", hook: hookimpl(wrapper=True)(wrap)})
    refused(build, HookError, f"'wrong' wraps {hook}; request hooks cannot be wrapped", wrapping)


def test_hooks_of_plugins_are_implemented_by_name_and_optional_ones_may_be_absent(build: Build) -> None:
    class PriceHooks:
        @hookspec
        def shop_price(self, item: str) -> int:  # type: ignore[empty-body]
            """Return a price."""

    class ShopPlugin(Plugin):
        name = "shop"
        hookspecs = (PriceHooks,)

    class TaxPlugin(Plugin):
        name = "tax"

        @hookimpl
        def shop_price(self, item: str) -> int:
            return len(item)

    class EagerPlugin(Plugin):
        name = "eager"

        @hookimpl(optionalhook=True)
        def nobody_asks(self) -> None:
            """Never called."""

    # The implementation may come before the specification.
    with build(TaxPlugin, ShopPlugin, EagerPlugin) as kernel:
        assert kernel.hooks.shop_price(item="tea") == [3]
    refused(build, HookError, "'tax' implements 'shop_price', which is not a hook", TaxPlugin)


def test_what_the_registries_refuse_names_the_plugin_and_phase(build: Build) -> None:
    class AskingPlugin(Plugin):
        name = "asking"

        @hookimpl
        def kernel_start(self) -> None:
            _ = self.kernel.services[Store]

    class LatePlugin(Plugin):
        name = "late"

        @hookimpl
        def kernel_ready(self) -> None:
            self.kernel.events.subscribe("first.*", print)

    refused(
        build, PhaseError, "'asking' failed in kernel_start: no enabled plugin provides Store", AskingPlugin
    )
    refused(
        build,
        PhaseError,
        "'late' failed in kernel_ready: cannot subscribe to 'first.*'",
        FirstPlugin,
        LatePlugin,
    )


def test_two_plugins_cannot_specify_one_hook(build: Build) -> None:
    class PriceHooks:
        @hookspec
        def shop_price(self, item: str) -> int:  # type: ignore[empty-body]
            """Return a price."""

    class ShopPlugin(Plugin):
        name = "shop"
        hookspecs = (PriceHooks,)

    class MarketPlugin(Plugin):
        name = "market"
        hookspecs = (PriceHooks,)

    class EmptyPlugin(Plugin):
        name = "empty"
        hookspecs = (object,)

    refused(build, HookError, "plugin 'market': .*shop_price", ShopPlugin, MarketPlugin)
    refused(build, HookError, "plugin 'empty': .*object", EmptyPlugin)


@pytest.mark.parametrize("returned", [{}, {Store: 1, Kernel: 2}])
def test_what_is_promised_and_what_is_provided_must_agree(build: Build, returned: dict[type, Any]) -> None:
    class StorePlugin(Plugin):
        name = "store"
        provides = (Store,)

        @hookimpl
        def kernel_services(self) -> Mapping[type, Any]:
            return returned

    name = "Store" if not returned else "Kernel"
    refused(
        build,
        ServiceError,
        f"'store': 'provides' and what kernel_services returns differ in: {name}",
        StorePlugin,
    )


def test_of_two_providers_the_chosen_one_serves(build: Build) -> None:
    def storing(plugin: str) -> type[Plugin]:
        def kernel_services(self: Plugin) -> Mapping[type, Any]:
            return {Store: plugin}

        return type(
            plugin,
            (Plugin,),
            {"name": plugin, "provides": (Store,), "kernel_services": hookimpl(kernel_services)},
        )

    plugins = storing("disk"), storing("memory")
    with build(*plugins, tables={"provide": {"Store": "memory"}}) as kernel:
        assert kernel.services[Store] == "memory"
    with build(*plugins, KERNEL_PROVIDE__Store="disk") as kernel:
        assert kernel.services[Store] == "disk"
    refused(build, KernelError, "'disk' and 'memory' both provide Store", *plugins)


def routing(plugin: str, *routes: Any) -> type[Plugin]:
    def kernel_routes(self: Plugin) -> Iterable[Any]:
        return routes

    return type(plugin, (Plugin,), {"name": plugin, "kernel_routes": hookimpl(kernel_routes)})


def test_two_plugins_on_one_route_are_both_named(build: Build) -> None:
    def both() -> Iterator[type[Plugin]]:
        for name in ("one", "two"):
            yield routing(name, Route("GET", "/same", lambda request: None))

    refused(build, RouteError, "plugins 'one' and 'two' both have the route <Route GET /same>", *both())
    taken = routing("mine", Route("GET", "/healthz", lambda request: None))
    refused(build, RouteError, "plugins 'kernel' and 'mine' both have the route <Route GET /healthz>", taken)


def test_what_is_not_a_route_is_refused(build: Build) -> None:
    refused(
        build,
        RouteError,
        "plugin 'mine': kernel_routes gave '/path', which is not a Route",
        routing("mine", "/path"),
    )


def test_a_handler_without_the_paths_parameter_is_refused(build: Build) -> None:
    mine = routing("mine", Route("GET", "/{name}", lambda request: None))
    refused(build, RouteError, r"plugin 'mine', route GET /\{name\}: .*takes no parameter 'name'", mine)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("first.door.opend", r"'second' subscribes to .*declares; did you mean 'first\.door\.opened'\?"),
        ("frist.*", r"'second' subscribes to 'frist\.\*', which no enabled plugin declares"),
    ],
)
def test_a_misspelt_subscription_is_refused(build: Build, pattern: str, message: str) -> None:
    class ListeningPlugin(Plugin):
        name = "second"

        @hookimpl
        def kernel_start(self) -> None:
            self.kernel.events.subscribe(pattern, print, owner=self.name)

    refused(build, EventError, message, FirstPlugin, ListeningPlugin)
    assert STOPPED == ["first"]


def test_a_badly_named_event_is_refused(build: Build) -> None:
    class Wrong(Event, frozen=True):
        name = "opened"

    class WrongPlugin(Plugin):
        name = "wrong"
        events = (Wrong,)

    refused(build, EventError, "plugin 'wrong' declares the event Wrong with the name 'opened'", WrongPlugin)


def test_a_wrong_setting_stops_the_boot(build: Build) -> None:
    refused(
        build,
        ConfigError,
        r"\[first\] door: unknown setting \(this plugin has no",
        FirstPlugin,
        first={"door": 1},
    )
    refused(
        build,
        ConfigError,
        r"\[frist\] belongs to no installed plugin; did you mean 'first'\?",
        FirstPlugin,
        frist={},
    )
    kernel_table = {"prot": 80}
    with pytest.raises(ConfigError, match=r"\[kernel\] prot: unknown setting; did you mean 'port'\?"):
        build(FirstPlugin, tables={"kernel": kernel_table})


def test_two_commands_of_one_name_are_refused(build: Build) -> None:
    def commanding(plugin: str) -> type[Plugin]:
        def kernel_commands(self: Plugin) -> Iterable[click.Command]:
            return [click.Command("tidy")]

        return type(plugin, (Plugin,), {"name": plugin, "kernel_commands": hookimpl(kernel_commands)})

    kernel = build(commanding("one"), commanding("two"))
    kernel.register()
    with pytest.raises(KernelError, match="plugins 'one' and 'two' both have the command 'tidy'"):
        list(kernel.commands())


def test_two_kernels_in_one_process_share_nothing(build: Build) -> None:
    class Counter(msgspec.Struct, frozen=True):
        step: int = 1

    class CountingPlugin(Plugin):
        name = "counting"
        provides = (Store,)
        Settings = Counter

        @hookimpl
        def kernel_services(self) -> Mapping[type, Any]:
            return {Store: self}

        @hookimpl
        def kernel_start(self) -> None:
            self.heard: list[Any] = []
            self.kernel.events.subscribe(Opened, self.heard.append)

        @hookimpl
        def kernel_routes(self) -> Iterable[Route]:
            yield Route("GET", "/step", lambda request: self.settings.step)

    with build(FirstPlugin, CountingPlugin) as one:
        other = build(FirstPlugin, CountingPlugin, tables={"counting": {"step": 2}})
        with other:
            one.events.publish(Opened())
            counting = [kernel.plugins["counting"] for kernel in (one, other)]
            assert [len(plugin.heard) for plugin in counting] == [1, 0]  # type: ignore[attr-defined]
            assert one.services[Store] is counting[0]
            assert other.services[Store] is counting[1]
            assert one.manager is not other.manager
            assert one.data != other.data
            for kernel, step in ((one, b"1"), (other, b"2")):
                match = kernel.router.match("GET", "/step")
                request = Request("GET", "/step", "", {})  # type: ignore[arg-type]
                assert kernel.dispatcher.handle(request, match, lambda body: body).body == step
        assert not one.stopping.is_set()
        one.events.publish(Opened())


def test_a_tests_data_folder_is_its_own_and_goes_with_it(build: Build) -> None:
    with build(FirstPlugin) as kernel:
        (kernel.data / "file").write_text("x")
    assert not kernel.data.exists()


def test_a_data_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file in its place")
    kernel = Kernel(Config(project=tmp_path), plugins=[FirstPlugin])
    with pytest.raises(ConfigError, match=r"data folder .* cannot be written: .*KERNEL_KERNEL__DATA"):
        kernel.start()


def test_a_served_data_folder_is_private(tmp_path: Path) -> None:
    with Kernel(Config(project=tmp_path), plugins=[FirstPlugin]) as kernel:
        assert kernel.data == tmp_path / "data"
        assert kernel.data.stat().st_mode & 0o777 == 0o700


def test_ready_and_stopping_are_logged_with_plugins_and_role(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "kernel"), build(FirstPlugin):
        pass
    ready, stopping = caplog.records
    assert (ready.message, vars(ready)["plugins"], vars(ready)["role"]) == ("ready", ["first"], "test")
    assert (stopping.message, vars(stopping)["role"]) == ("stopping", "test")


def test_every_public_name_is_there_and_no_other() -> None:
    for name in public.__all__:
        assert getattr(public, name) is not None
    assert dir(public) == public.__all__ == sorted(public.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Kernl'"):
        _ = public.Kernl  # type: ignore[attr-defined]


HEAVY = (
    "apsw", "asyncio", "click", "email", "granian", "http", "importlib.metadata", "joserfc", "postgast", "rich",
    "socket", "ssl", "structlog", "tomlkit", "urllib.request", "werkzeug",
)  # fmt: skip


def modules_after(script: str) -> set[str]:
    command = [sys.executable, "-c", f"{script}\nimport sys\nprint('\\n'.join(sys.modules))"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_the_public_api_imports_msgspec_and_pluggy_and_nothing_heavy() -> None:
    loaded = modules_after("from kernel import *")
    assert {"msgspec", "pluggy"} <= loaded
    assert loaded & set(HEAVY) == set()
    outside = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    assert {name for name in outside if not name.startswith("_")} <= {
        "kernel", "msgspec", "pluggy", "typing_extensions", "sitecustomize",
    }  # fmt: skip


def test_a_kernel_without_variable_paths_never_loads_werkzeug() -> None:
    script = (
        "from kernel import Kernel\nfrom kernel.config import Config\n"
        "with Kernel(Config(), plugins=[], role='test') as kernel: pass"
    )
    assert modules_after(script) & {"werkzeug", "asyncio", "click", "structlog"} == set()


def test_a_server_does_not_wait_for_werkzeug_at_its_start() -> None:
    script = (
        "from kernel import Kernel, Plugin, Route, hookimpl\nfrom kernel.config import Config\n"
        "class Shop(Plugin):\n"
        "    name = 'shop'\n"
        "    @hookimpl\n"
        "    def kernel_routes(self): yield Route('GET', '/items/{name}', lambda request, name: name)\n"
        "with Kernel(Config(), plugins=[Shop], role='test') as kernel:\n"
        "    assert kernel.router.routes[-1].path == '/items/{name}'"
    )
    assert "werkzeug" not in modules_after(script)


class ColdPlugin(Plugin):
    """Has something to load that the first answer does not need."""

    name = "cold"

    def __init__(self, kernel: Kernel, settings: Any) -> None:
        super().__init__(kernel, settings)
        self.loaded = threading.Event()

    @hookimpl
    def kernel_ready(self) -> None:
        self.kernel.warm_up(self.fail)
        self.kernel.warm_up(self.loaded.set)

    def fail(self) -> None:
        raise LookupError("gone")


def cold(tmp_path: Path, role: Role) -> Kernel:
    return Kernel(Config(project=tmp_path), plugins=[ColdPlugin], role=role)


def test_a_server_warms_up_once_it_is_ready_whatever_fails_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("kernel.kernel.WARM_SECONDS", 0.001)
    with cold(tmp_path, "http") as kernel:
        plugin = kernel.plugins["cold"]
        assert isinstance(plugin, ColdPlugin)
        assert plugin.loaded.wait(5)
    assert "LookupError: gone" in caplog.text


def test_a_stop_does_not_wait_for_what_has_not_begun_to_warm_up(tmp_path: Path) -> None:
    before = threading.active_count()
    with cold(tmp_path, "http") as kernel:
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    plugin = kernel.plugins["cold"]
    assert isinstance(plugin, ColdPlugin)
    assert not plugin.loaded.is_set()


def test_only_a_server_warms_up(tmp_path: Path) -> None:
    before = threading.active_count()
    with cold(tmp_path, "worker"):
        assert threading.active_count() == before


def test_hookspecs_are_typed_and_explained() -> None:
    from kernel.hookspecs import REQUEST_HOOKS, KernelHooks

    manager = pluggy.PluginManager("backend_kernel")
    manager.add_hookspecs(KernelHooks)
    for name in [name for name in vars(KernelHooks) if name.startswith("kernel_")]:
        specification = getattr(KernelHooks, name)
        assert (specification.__doc__ or "").strip(), name
        assert "return" in specification.__annotations__, name
        assert getattr(manager.hook, name).has_spec()
    assert set(REQUEST_HOOKS) <= set(vars(KernelHooks))
    assert Response.__doc__

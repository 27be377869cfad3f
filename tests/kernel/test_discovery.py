from __future__ import annotations

import subprocess
import sys
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from typing import Any

import pytest

from kernel import Kernel, Plugin, discovery
from kernel.config import Config, PluginChoice
from kernel.discovery import DISTRIBUTION, GROUP, check, discover, installed
from kernel.errors import DiscoveryError, OrderError

ROOT = Path(__file__).parents[2]


class FakeDistribution(Distribution):
    """An installed distribution that offers the named entry points."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read_text(self, filename: str) -> str | None:
        return f"Name: {self._name}\nVersion: 1.2\n" if filename in ("METADATA", "PKG-INFO") else None

    def locate_file(self, path: Any) -> Any:
        return Path(path)


@pytest.fixture(autouse=True)
def _paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Discovery appends the project folder to the path: keep that within the test."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Any:
    points: list[EntryPoint] = []
    monkeypatch.setattr(discovery, "entry_points", lambda group: points if group == GROUP else [])

    def add(name: str, value: str, distribution: str = "shop") -> None:
        point = EntryPoint(name, value, GROUP)
        vars(point)["dist"] = FakeDistribution(distribution)
        points.append(point)

    return add


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a module of the project and return its name, new in every test."""

    def write(source: str) -> str:
        name = f"project_{tmp_path.name}"
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    return write


PLUGIN = "from kernel import Plugin\nclass {0}(Plugin):\n    name = '{1}'\n"


def test_the_default_set_is_what_our_own_distribution_offers(offer: Any, module: Any, tmp_path: Path) -> None:
    name = module(PLUGIN.format("One", "one") + PLUGIN.format("Two", "two"))
    sys.path.append(str(tmp_path))
    offer("one", f"{name}:One", "other")
    offer("two", f"{name}:Two", "other")
    assert discover(PluginChoice(), tmp_path, installed()) == []
    (record,) = discover(PluginChoice(enable=("two",)), tmp_path, installed())
    assert (record.name, record.source, record.version, record.status) == (
        "two",
        "other 1.2",
        "1.2",
        "discovered",
    )


def test_a_class_of_the_project_is_enabled_by_its_path(module: Any, tmp_path: Path) -> None:
    name = module(PLUGIN.format("Mine", "mine"))
    records = discover(PluginChoice(enable=(f"{name}:Mine",), disable=_bundled()), tmp_path, installed())
    assert [record.name for record in records] == ["mine"]
    assert sys.path[-1] == str(tmp_path)


def test_an_unknown_name_is_refused_with_the_nearest(offer: Any, tmp_path: Path) -> None:
    offer("payments", "shop:Payments")
    with pytest.raises(
        DiscoveryError, match=r"'payment', but no installed.*did you mean 'payments'\?.*module:Class"
    ):
        discover(PluginChoice(enable=("payment",)), tmp_path, installed())


def test_disabling_what_is_not_enabled_is_refused(offer: Any, tmp_path: Path) -> None:
    with pytest.raises(DiscoveryError, match="disable names 'rets', which is not enabled"):
        discover(PluginChoice(disable=("rets",)), tmp_path, installed())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import nothing_like_this",
            "cannot be imported: ModuleNotFoundError: No module named 'nothing_like",
        ),
        ("def broken(:", "cannot be imported: SyntaxError"),
        ("raise SystemError('boom')", "cannot be imported: SystemError: boom"),
        ("class Minee: pass", r"has no 'Mine'; did you mean 'Minee'\?"),
        ("Mine = 3", "3 is not a subclass of kernel.Plugin"),
        ("class Mine: pass", "Mine'> is not a subclass of kernel.Plugin"),
        (PLUGIN.format("Mine", "Bad-Name"), "Mine.name is 'Bad-Name'; give it a lower-case identifier"),
        ("from kernel import Plugin\nclass Mine(Plugin): pass", "Mine.name is None; give it"),
        (PLUGIN.format("Mine", "plugins"), "cannot be called 'plugins', a section of kernel.toml"),
    ],
)
def test_what_cannot_be_a_plugin_is_refused(module: Any, tmp_path: Path, source: str, message: str) -> None:
    path = f"{module(source)}:Mine"
    with pytest.raises(DiscoveryError, match=message) as raised:
        discover(PluginChoice(enable=(path,), disable=_bundled()), tmp_path, installed())
    assert path.split(":")[0] in str(raised.value)


def test_an_entry_point_and_its_plugin_must_have_one_name(offer: Any, module: Any, tmp_path: Path) -> None:
    sys.path.append(str(tmp_path))
    offer("ours", f"{module(PLUGIN.format('Mine', 'mine'))}:Mine")
    with pytest.raises(
        DiscoveryError, match=r"entry point 'ours' of shop 1\.2 loads a plugin that calls itself 'mine'"
    ):
        discover(PluginChoice(enable=("ours",)), tmp_path, installed())


def test_two_distributions_may_not_share_a_name(offer: Any) -> None:
    offer("ours", "a:A", "first")
    offer("ours", "b:B", "second")
    with pytest.raises(DiscoveryError, match=r"called 'ours': first 1\.2 and second 1\.2; uninstall one"):
        installed()


def test_one_distribution_installed_twice_on_the_path_is_one(offer: Any) -> None:
    offer("ours", "a:A", "first")
    offer("ours", "a:A", "first")
    assert list(installed()) == ["ours"]


def test_a_plugin_for_another_version_of_the_api_is_refused() -> None:
    class FuturePlugin(Plugin):
        name = "future"
        api = range(2, 4)

    with pytest.raises(DiscoveryError, match=r"'future' .* versions 2 to 3 .*this kernel has version 1"):
        check(FuturePlugin, "given")


def test_two_plugins_may_not_share_a_name(tmp_path: Path) -> None:
    class OnePlugin(Plugin):
        name = "same"

    class OtherPlugin(Plugin):
        name = "same"

    kernel = Kernel(Config(project=tmp_path), plugins=[OnePlugin, OtherPlugin], role="test")
    with pytest.raises(DiscoveryError, match="two plugins are called 'same': given and given"):
        kernel.register()


def test_a_missing_provider_is_looked_for_past_what_cannot_be_imported(
    offer: Any, module: Any, tmp_path: Path
) -> None:
    class Ledger:
        """A contract."""

    class ShopPlugin(Plugin):
        name = "shop"
        requires = (Ledger,)

    sys.path.append(str(tmp_path))
    name = module("from kernel import Plugin\nclass Books(Plugin):\n    name = 'books'\n")
    offer("absent", "nothing_like_this:Absent", DISTRIBUTION)
    offer("books", f"{name}:Books", DISTRIBUTION)
    kernel = Kernel(Config(project=tmp_path), plugins=[ShopPlugin], role="test")
    with pytest.raises(OrderError, match=r"'shop' requires Ledger, .*enable a plugin that does"):
        kernel.register()
    sys.modules[name].Books.provides = (Ledger,)
    with pytest.raises(OrderError, match=r"'shop' requires Ledger, .*kernel plugins enable books"):
        kernel.register()


def test_a_folder_that_shadows_the_bundled_plugins_is_named(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    (trap / "plugins").mkdir(parents=True)
    (trap / "plugins" / "__init__.py").write_text("")
    script = "from kernel import Kernel; Kernel().start()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{trap}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "DiscoveryError" in last
    assert f"{trap / 'plugins'} comes before it on the Python path and shadows it" in last


def test_a_projects_own_kernel_and_plugins_do_not_shadow_ours(tmp_path: Path) -> None:
    (tmp_path / "kernel.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "__init__.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "shop.py").write_text(PLUGIN.format("Shop", "shop"))
    script = (
        "import sys; sys.path.remove('')\n"
        "from pathlib import Path\n"
        "from kernel.config import PluginChoice\n"
        "from kernel.discovery import discover, installed\n"
        "off = tuple(installed())\n"
        "print([r.name for r in discover(PluginChoice(enable=('shop:Shop',), disable=off), Path.cwd(), installed())])\n"
        "import plugins; print(plugins.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["['shop']", str(ROOT / "plugins" / "__init__.py")]


def test_bundled_entry_points_are_the_plugin_folders() -> None:
    folders = {path.name for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").exists()}
    offers = {name: offer for name, offer in installed().items() if offer.is_bundled}
    assert set(offers) == folders
    for name, offer in offers.items():
        assert offer.value.split(":")[0] == f"plugins.{name}"
        assert offer.distribution == DISTRIBUTION


def _bundled() -> tuple[str, ...]:
    return tuple(installed())

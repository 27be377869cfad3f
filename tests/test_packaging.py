"""What the built distributions hold, and that they work where nothing but they is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], zipfile.ZipFile]:
    """The names in the source distribution, and the wheel, built as a release is."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    (source,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    with tarfile.open(source) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    return names, zipfile.ZipFile(wheel)


def tracked(*folders: str) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", *folders], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}


def test_the_wheel_holds_the_two_packages_whole_and_nothing_else(
    built: tuple[list[str], zipfile.ZipFile],
) -> None:
    _, wheel = built
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in names} == {"kernel", "plugins"}
    assert tracked("kernel", "plugins") <= names
    assert "kernel/py.typed" in names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_the_wheel_declares_the_command_the_plugins_and_the_pytest_plugin(
    built: tuple[list[str], zipfile.ZipFile],
) -> None:
    _, wheel = built
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    points = ConfigParser(delimiters=("=",))
    points.read_string(wheel.read(name).decode())
    assert points["console_scripts"]["kernel"] == "kernel.cli:main"
    assert "kernel.testing.pytest_plugin" in points["pytest11"].values()
    assert "database" in points["backend_kernel.plugins"]


def test_the_source_distribution_holds_tests_pages_and_examples(
    built: tuple[list[str], zipfile.ZipFile],
) -> None:
    names, _ = built
    wanted = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "pyproject.toml", "uv.lock", "run"}
    assert wanted <= set(names)
    assert tracked("examples") <= set(names)
    assert not [name for name in names if "node_modules" in name or ".venv" in name]


def test_the_wheel_works_from_the_file(built: tuple[list[str], zipfile.ZipFile], tmp_path: Path) -> None:
    """Unpacked before the clone on the path, it makes a project and lists its plugins without the clone's files."""
    _, wheel = built
    wheel.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    for arguments in (
        ["init", "shop"],
        ["plugins", "new", "shelf"],
        ["--project", "shop", "plugins", "list"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "kernel", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "shop" / "kernel.toml").exists()
    assert (tmp_path / "shelf" / "pyproject.toml").exists()

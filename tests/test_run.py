"""./run: which uv it takes, and that it takes none that uv.lock does not name."""

from __future__ import annotations

import hashlib
import io
import os
import platform
import subprocess
import sys
import zipfile
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
OLD_UV = "#!/bin/sh\necho uv 0.8.24\n"
# Stands in for uv: makes a virtual environment, and otherwise says what it was asked for.
UV = """#!/bin/sh
case "$1" in
    venv) mkdir -p .venv/bin ;;
    --version) echo uv 0.99.0 ;;
    *) echo asked in "$PWD" for "$@" ;;
esac
"""


def wheel(program: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("uv-1.data/scripts/uv", program)
        archive.writestr("uv-1.data/scripts/uvx", "")
    return buffer.getvalue()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with ./run and a lock file that names a wheel of its own for this machine."""
    content = wheel(UV)
    system = "macosx" if sys.platform == "darwin" else "manylinux"
    file = tmp_path / f"uv-1-py3-none-{system}_2_17_{platform.machine()}.whl"
    file.write_bytes(content)
    entry = f'{{ url = "{file.as_uri()}", hash = "sha256:{hashlib.sha256(content).hexdigest()}" }}'
    (tmp_path / "uv.lock").write_text(f'[[package]]\nname = "uv"\nwheels = [{entry}]\n')
    (tmp_path / "run").write_bytes((ROOT / "run").read_bytes())
    (tmp_path / "run").chmod(0o755)
    (tmp_path / "elsewhere").mkdir()
    return tmp_path


def run(clone: Path, *arguments: str, path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, clone / "run", *arguments]
    environment = {**os.environ, "PATH": path}
    folder = clone / "elsewhere"
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=30)


def program(folder: Path, text: str) -> str:
    folder.mkdir()
    (folder / "uv").write_text(text)
    (folder / "uv").chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def load() -> ModuleType:
    loader = SourceFileLoader("run_script", str(ROOT / "run"))
    spec = spec_from_loader("run_script", loader)
    assert spec
    module = module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = writes
    return module


def test_fetches_the_pinned_uv_where_there_is_none_and_keeps_it(clone: Path) -> None:
    first = run(clone, "serve", "--port", "9000")
    assert first.returncode == 0, first.stderr
    assert "fetching uv-1" in first.stderr
    asked = (
        f"asked in {clone}/elsewhere for run --project {clone} --frozen --no-dev kernel serve --port 9000\n"
    )
    assert first.stdout == asked
    again = run(clone, "serve", "--port", "9000")
    assert (again.stdout, again.stderr) == (asked, "")


def test_tests_run_in_the_clone_wherever_it_is_called_from(clone: Path) -> None:
    assert f"for run --directory {clone} --frozen pytest -k x" in run(clone, "test", "-k", "x").stdout


def test_takes_the_uv_of_the_machine(clone: Path) -> None:
    done = run(clone, "setup", path=program(clone / "bin", UV))
    assert f"for sync --directory {clone} --frozen" in done.stdout
    assert not (clone / ".venv").exists()


def test_passes_by_a_uv_that_is_too_old(clone: Path) -> None:
    done = run(clone, "setup", path=program(clone / "bin", OLD_UV))
    assert f"for sync --directory {clone} --frozen" in done.stdout
    assert (clone / ".venv" / "bin" / "uv").exists()


def test_refuses_a_wheel_that_is_not_the_one_in_the_lock_file(clone: Path) -> None:
    (file,) = clone.glob("*.whl")
    file.write_bytes(wheel("#!/bin/sh\necho evil\n"))
    done = run(clone, "serve")
    assert done.returncode == 1
    assert "SHA-256 differs" in done.stderr
    assert "evil" not in done.stdout
    assert not (clone / ".venv").exists()


def test_says_what_to_do_where_the_index_cannot_be_reached(clone: Path) -> None:
    (file,) = clone.glob("*.whl")
    file.unlink()
    done = run(clone, "serve")
    assert done.returncode == 1
    assert "install uv yourself" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [[], ["help"], ["--help"]])
def test_anything_else_shows_what_there_is(clone: Path, arguments: list[str]) -> None:
    done = run(clone, *arguments)
    assert done.returncode == 1
    assert "usage: ./run serve" in done.stderr


@pytest.mark.parametrize(
    ("system", "libc", "machine", "tags"),
    [
        ("linux", "glibc", "x86_64", "manylinux_2_17_x86_64"),
        ("linux", "glibc", "aarch64", "manylinux_2_17_aarch64"),
        ("linux", "", "x86_64", "musllinux_1_1_x86_64"),
        ("linux", "", "aarch64", "musllinux_1_1_aarch64"),
        ("darwin", "", "arm64", "macosx_11_0_arm64"),
        ("darwin", "", "x86_64", "macosx_10_12_x86_64"),
    ],
)
def test_the_lock_file_has_a_wheel_for(
    system: str, libc: str, machine: str, tags: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = load()
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, ""))
    name, url, digest = script.pinned_wheel()
    assert tags in name
    assert url.endswith(name)
    assert len(digest) == 64


def test_a_machine_without_a_wheel_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    script = load()
    monkeypatch.setattr(platform, "machine", lambda: "pdp11")
    with pytest.raises(SystemExit, match="no uv for"):
        script.pinned_wheel()

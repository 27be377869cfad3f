"""The pages at the root say what is true: their commands run, their code works, what they name exists."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kernel_size import lines_by_folder, lines_of_code

ROOT = Path(__file__).parent.parent
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "benchmarks/README.md",
    "examples/greeting/README.md",
]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PLACEHOLDER = "postgresql://user:password@host/name"


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[str]:
    lines = "".join(blocks(page, "console")).splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def kernel(project: Path, command: str) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command)
    assert words[0] == "kernel", command
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=project, capture_output=True, text=True, timeout=30
    )


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_file_leads_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text())
    here = (ROOT / page).parent
    lost = [target for target in targets if not target.startswith("http") and not (here / target).exists()]
    assert targets
    assert lost == []


def test_the_readmes_first_commands_are_the_ones_that_ci_runs_too() -> None:
    assert commands("README.md")[:2] == ["./run serve", "./run test"]
    ci = (ROOT / ".ci/run").read_text().splitlines()
    assert "./run test" in ci
    assert "uv run --locked poe gates" in ci


def test_every_task_that_the_pages_name_is_defined() -> None:
    text = "".join((ROOT / page).read_text() for page in PAGES)
    named = set(re.findall(r"uv run poe ([a-z-]+)", text))
    assert "check" in named
    assert named <= set(PYPROJECT["tool"]["poe"]["tasks"])


def test_ci_checks_what_a_developer_checks() -> None:
    tasks = PYPROJECT["tool"]["poe"]["tasks"]
    assert tasks["check"]["sequence"] == ["gates", "test"]
    assert {"format-check", "lint", "types", "walls", "docs-check"} <= set(tasks["gates"]["sequence"])


def test_the_readmes_map_shows_what_is_there() -> None:
    (listing,) = blocks("README.md", "text")
    folder = ""
    for line in listing.splitlines():
        name = line.split()[0]
        folder = folder if line.startswith("  ") else name
        path = ROOT / folder / name if line.startswith("  ") else ROOT / name
        assert path.exists(), line
    bundled = {path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py")}
    assert bundled == set(re.findall(r"^  (\w+)/ ", listing.partition("\nplugins/")[2], flags=re.MULTILINE))


def test_the_readmes_size_of_the_kernel_is_right_within_five_percent() -> None:
    found = re.search(r"about ([\d,]+) lines of code", (ROOT / "README.md").read_text())
    assert found
    assert int(found[1].replace(",", "")) == pytest.approx(sum(lines_by_folder().values()), rel=0.05)


def test_lines_of_code_are_neither_docstrings_nor_comments_nor_blank() -> None:
    source = '''"""Module."""

# comment
TEXT = """one
two"""  # a text that is no docstring


class A:
    """Class
    over two lines."""

    async def b(self) -> None:
        """Function."""
        return (  # comment
            None

        )
'''
    assert lines_of_code(source) == 2 + 1 + 1 + 3


def test_the_readmes_plugin_answers_as_the_readme_says(tmp_path: Path, serving: Any, wire: Any) -> None:
    plugin, _ = blocks("README.md", "python")
    assert len(plugin.splitlines()) <= 20
    (tmp_path / "hello.py").write_text(plugin)
    enable, serve, curl = commands("README.md")[2:5]
    assert kernel(tmp_path, enable).returncode == 0
    setting, *words = shlex.split(serve)
    assert words == ["kernel", "serve"]
    name, _, value = setting.removeprefix("KERNEL_").partition("=")
    path = curl.removeprefix("curl http://127.0.0.1:8000")
    with serving(tmp_path, **{name.lower(): value}) as server, wire(server) as connection:
        answer = connection.request("GET", path).body.decode()
    assert f"$ {curl}\n{answer}\n" in (ROOT / "README.md").read_text()


def test_the_readmes_test_of_its_plugin_passes(tmp_path: Path) -> None:
    plugin, test = blocks("README.md", "python")
    (tmp_path / "hello.py").write_text(plugin)
    (tmp_path / "test_hello.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_readmes_commands_for_a_project_work(tmp_path: Path) -> None:
    plain = [command for command in commands("README.md")[5:] if command.startswith("kernel ")]
    plain = [command for command in plain if PLACEHOLDER not in command]
    assert len(plain) >= 5
    for command in plain:
        done = kernel(tmp_path, command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        assert done.stdout, command


def test_the_readmes_way_to_postgresql_keeps_the_rows(
    tmp_path: Path, serving: Any, wire: Any, postgresql_url: str
) -> None:
    copy, serve = [command for command in commands("README.md") if PLACEHOLDER in command]
    row = json.dumps({"body": "kept"}).encode()
    with serving(tmp_path) as server, wire(server) as connection:
        headers = {"content-type": "application/json"}
        assert connection.request("POST", "/rest/v1/notes", headers, row).status == 201
    done = kernel(tmp_path, copy.replace(PLACEHOLDER, postgresql_url))
    assert done.returncode == 0, done.stdout + done.stderr
    setting, *words = shlex.split(serve.replace(PLACEHOLDER, postgresql_url))
    assert words == ["kernel", "serve"]
    name, _, value = setting.removeprefix("KERNEL_").partition("=")
    with serving(tmp_path, **{name.lower(): value}) as server, wire(server) as connection:
        assert connection.request("GET", "/rest/v1/notes?select=body").json() == [{"body": "kept"}]


def test_the_changelog_has_a_section_for_what_is_next() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in text
    assert PYPROJECT["project"]["version"] in text


def test_pre_commit_runs_the_tools_that_the_gates_run() -> None:
    entries = re.findall(r"entry: (.*)", (ROOT / ".pre-commit-config.yaml").read_text())
    tasks = PYPROJECT["tool"]["poe"]["tasks"]
    for tool in ("ruff format", "ruff check", "mypy", "lint-imports"):
        assert any(tool in entry for entry in entries), tool
        assert any(isinstance(task, str) and task.startswith(tool) for task in tasks.values()), tool

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from kernel.cli.scaffold import kernel_source, render

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "greeting"
KERNEL = [sys.executable, "-m", "kernel"]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_new_plugin_passes_its_own_tests(project, run, requires_tool):
    uv = requires_tool("uv")
    result = run("plugins", "new", "web-shop")
    assert "cd web-shop && uv run pytest" in result.stdout
    environment = {
        name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")
    }
    done = subprocess.run(
        [uv, "run", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project / "web-shop", env=environment, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_a_new_plugin_passes_its_own_tests_beside_this_kernel(project, run):
    run("plugins", "new", "shop")
    environment = {**os.environ, "PYTHONPATH": str(project / "shop")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project / "shop", env=environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_parts_are_named_after_it(project, run):
    run("plugins", "new", "web-shop")
    folder = project / "web-shop"
    written = tomllib.loads((folder / "pyproject.toml").read_text())
    assert written["project"]["name"] == "web-shop"
    assert written["project"]["entry-points"]["backend_kernel.plugins"] == {
        "web_shop": "web_shop:WebShopPlugin"
    }
    assert (folder / "tests" / "test_web_shop.py").exists()
    text = "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    assert "@" + "plugin@" not in text
    assert "KERNEL_WEB_SHOP__SALUTATION" in text


def test_the_example_and_the_template_are_alike():
    made = render(distribution="kernel-greeting", package="kernel_greeting", plugin="greeting", sources="")
    for name, text in made.items():
        if name.endswith(".py"):
            assert text == (EXAMPLE / name).read_text(), (
                f"examples/greeting/{name} is not what kernel/cli/templates/plugin makes; change both"
            )
    modules = {str(path.relative_to(EXAMPLE)) for path in (EXAMPLE / "kernel_greeting").glob("*.py")}
    assert modules <= set(made)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Shop!", "like 'shop'"),
        ("2do", "letters first, like 'do'"),
        ("a--b", "like 'a-b'"),
        ("../shop", "like 'shop'"),
        ("queue", "Python itself"),
        ("class", "Python itself"),
        ("plugins", "a section of kernel.toml"),
        ("keys", "a plugin called 'keys' is installed"),
        ("msgspec", "like 'kernel-msgspec'"),
    ],
)
def test_a_name_that_would_not_work_is_refused(project, run, name, says):
    result = run("plugins", "new", name)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert says in result.stderr
    assert list(project.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(project, run):
    (project / "shop").mkdir()
    result = run("plugins", "new", "shop")
    assert (result.exit_code, "is there already" in result.stderr) == (1, True)
    assert list((project / "shop").iterdir()) == []


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        ({"url": "file:///a%20b", "dir_info": {"editable": True}}, {"path": "/a b", "editable": True}),
        ({"url": "file:///src/kernel", "dir_info": {}}, {"path": "/src/kernel", "editable": True}),
        ({"url": "file:///w/backend_kernel-1-py3-none-any.whl", "archive_info": {}},
         {"path": "/w/backend_kernel-1-py3-none-any.whl"}),
        ({"url": "https://example.org/k.whl", "archive_info": {}}, {"url": "https://example.org/k.whl"}),
        ({"url": "https://example.org/k.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
         {"git": "https://example.org/k.git", "rev": "abc"}),
    ],
)  # fmt: skip
def test_the_kernel_is_found_where_it_was_installed_from(origin, source):
    text = kernel_source(json.dumps(origin))
    assert tomllib.loads(text) == {"tool": {"uv": {"sources": {"backend-kernel": source}}}}


def test_a_kernel_from_an_index_needs_no_source():
    assert kernel_source(None) == ""
    made = render(distribution="shop", package="shop", plugin="shop", sources="")
    assert "uv" not in tomllib.loads(made["pyproject.toml"])["tool"]

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from kernel.cli.app import cli


@pytest.fixture
def completed(project):
    def complete(*words: str, incomplete: str) -> list[str]:
        shell = ShellComplete(cli, {}, "kernel", "_KERNEL_COMPLETE")
        return [item.value for item in shell.get_completions(list(words), incomplete)]

    return complete


def test_commands_options_and_plugins_complete(completed):
    assert completed(incomplete="s") == ["serve"]
    assert completed("plugins", incomplete="en") == ["enable"]
    assert completed("plugins", "enable", incomplete="re") == ["records", "rest"]
    assert completed("config", "show", incomplete="k") == ["kernel", "keys"]
    assert "--port" in completed("serve", incomplete="--p")
    assert completed("completion", incomplete="") == ["bash", "zsh", "fish"]


def test_commands_of_plugins_complete(completed, enable):
    enable(keep=("keys",))
    assert completed(incomplete="ke") == ["keys"]


def test_a_broken_project_still_completes(completed, project):
    (project / "kernel.toml").write_text("[kernel\n")
    assert completed(incomplete="pl") == ["plugins"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_asks_the_kernel(run, shell):
    result = run("completion", shell)
    assert result.exit_code == 0
    assert f"_KERNEL_COMPLETE={shell}_complete" in result.stdout


def test_the_script_works_in_bash(project, requires_tool):
    bash = requires_tool("bash")
    script = (
        'eval "$(kernel completion bash)"; COMP_WORDS=(kernel plugins dis); COMP_CWORD=2; '
        '_kernel_completion kernel dis plugins; echo "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [bash, "-c", script],
        env={**os.environ, "PATH": path},
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["disable"], done.stderr


def test_an_unknown_shell_is_a_usage_error(run):
    assert run("completion", "csh").exit_code == 2

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from kernel.cli.app import BUILT_IN, built_in
from kernel.cli.base import Command, Group

GREET = """
class GreetPlugin(Plugin):
    name = "greet"

    @hookimpl
    def kernel_commands(self):
        @click.command()
        @click.argument("who")
        def greet(who):
            "Greet someone."
            click.echo(f"Hello {who} of {self.kernel.config.project.name}")

        return [greet]
"""


def test_help_lists_the_built_in_commands(run):
    result = run("--help")
    assert result.exit_code == 0
    for name, command in BUILT_IN.items():
        assert f"  {name} " in result.stdout
        assert command.summary in result.stdout


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_summary_that_is_known_without_an_import_is_the_command_own(name):
    command = built_in(name)
    assert isinstance(command, Command | Group)
    assert command.help
    assert BUILT_IN[name].summary.endswith(".")
    assert command.name == name


def commands(command: click.Command, path: str) -> list[tuple[str, click.Command]]:
    inner = command.commands.items() if isinstance(command, click.Group) else ()
    return [(path, command)] + [found for name, child in inner for found in commands(child, f"{path} {name}")]


ALL = [found for name in BUILT_IN for found in commands(built_in(name), name)]


@pytest.mark.parametrize(("path", "command"), ALL, ids=[path for path, _ in ALL])
def test_every_command_has_a_paragraph_of_help_and_an_example(run, path, command):
    result = run(*path.split(), "--help")
    assert result.exit_code == 0
    assert len(command.help.split()) >= 6
    assert "Example" in result.stdout
    assert f"kernel {path.split()[0]}" in result.stdout.split("Example")[1] or "uv run" in result.stdout


def test_version(run):
    assert run("--version").stdout.startswith(f"backend-kernel {version('backend-kernel')} (")


def test_an_unknown_command_is_a_usage_error_that_names_the_nearest(run, enable):
    enable()
    result = run("serv")
    assert result.exit_code == 2
    assert "there is no command 'serv'; did you mean 'serve'?" in result.stderr


def test_an_unknown_option_is_a_usage_error_that_names_the_nearest(run):
    result = run("serve", "--prt", "1")
    assert result.exit_code == 2
    assert "--port" in result.stderr


def test_a_kernel_error_is_one_line_without_a_traceback(run, project):
    (project / "kernel.toml").write_text("[kernel\n")
    result = run("routes")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {project / 'kernel.toml'}: not valid TOML")
    assert result.stderr.count("\n") == 1


def test_errors_are_red_on_a_terminal_only_and_only_where_colours_are_welcome(terminal, run, project):
    (project / "kernel.toml").write_text("[kernel\n")
    assert terminal("routes").startswith("\x1b[31m\x1b[1merror:\x1b[0m ")
    assert terminal("routes", NO_COLOR="1").startswith("error: ")
    assert terminal("routes", TERM="dumb").startswith("error: ")


def test_a_project_folder_that_is_not_there_says_how_to_make_it(run):
    result = run("--project", "nowhere", "routes")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "make it with: kernel init" in result.stderr


def test_plugins_add_commands_which_are_listed_under_their_plugin(run, enable, write_plugin):
    enable(write_plugin(GREET))
    assert "Commands of the plugin greet:\n  greet  Greet someone." in run("--help").stdout
    assert run("greet", "Ada").stdout == "Hello Ada of project\n"
    assert "did you mean 'greet'?" in run("gret", "Ada").stderr


def test_the_project_is_chosen_before_or_after_the_command(run, project, enable, write_plugin, monkeypatch):
    enable(write_plugin(GREET))
    monkeypatch.chdir(project.parent)
    assert run("--project", "project", "greet", "Ada").stdout == "Hello Ada of project\n"
    assert '"greet"' in run("plugins", "list", "--project", "project").stdout


def test_a_broken_plugin_leaves_the_built_in_commands_and_is_named(run, enable, write_plugin):
    enable(write_plugin("class BrokenPlugin(Plugin):\n    raise ZeroDivisionError('too bad')\n"))
    shown = run("--help")
    assert shown.exit_code == 0
    assert "serve" in shown.stdout
    assert "ZeroDivisionError: too bad" in " ".join(shown.stdout.split())
    assert "too bad" in run("greet").stderr
    listed = run("plugins", "list")
    assert listed.exit_code == 0
    assert "too bad" in listed.stdout


def test_a_plugin_whose_commands_fail_is_named(run, enable, write_plugin):
    enable(
        write_plugin("""
        class BadPlugin(Plugin):
            name = "bad"

            @hookimpl
            def kernel_commands(self):
                raise ValueError("no commands today")
        """)
    )
    text = " ".join(run("--help").stdout.split())
    assert "plugin 'bad' failed in kernel_commands: ValueError: no commands today" in text


def test_a_plugin_cannot_take_the_name_of_a_built_in_command(run, enable, write_plugin):
    enable(write_plugin(GREET.replace("def greet(who)", "def serve(who)").replace("[greet]", "[serve]")))
    assert "has a command 'serve', but that is a built-in one" in " ".join(run("--help").stdout.split())
    assert "Run the project's server" in run("serve", "--help").stdout


def test_looking_leaves_no_trace(run, project):
    for arguments in (["--help"], ["routes"], ["hooks"], ["plugins", "list"], ["config", "show"], ["doctor"]):
        run(*arguments)
    assert [path.name for path in project.iterdir()] == []


def loaded(project: Path, *arguments: str) -> set[str]:
    """Return the modules that a process has loaded after these arguments to `kernel`."""
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.__stderr__))\n"
        f"sys.argv = ['kernel', *{list(arguments)!r}]\n"
        "from kernel.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def test_commands_load_only_what_they_need(project):
    serve = loaded(project, "serve", "--help")
    assert not serve & {"rich", "tomlkit", "plugins", "pluggy", "werkzeug", "granian", "kernel.kernel"}
    assert not {
        name for name in loaded(project, "plugins", "list") if name.partition(".")[0] in ("rich", "tomlkit")
    }


def test_importing_the_kernel_does_not_import_click():
    code = "import kernel, sys; kernel.Kernel; sys.exit('click' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.parametrize("group", ["plugins", "config"])
def test_what_a_groups_commands_do_is_said_to_the_end(run, group):
    lines = run(group, "--help").stdout.split("Commands:\n")[1].split("\n\n")[0]
    assert "..." not in lines
    assert lines.count("\n") >= len(built_in(group).commands) - 1

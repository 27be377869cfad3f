from __future__ import annotations

import json
import stat

TOML = """\
# What we run, and why.
[plugins]
disable = [
    "rest",  # no clients yet
]

[keys]
audience = ["us"]  # ours
"""


def plugins(run):
    return {row["name"]: row for row in json.loads(run("plugins", "list").stdout)}


def test_list_tells_the_state_of_every_plugin(run, project, enable, write_plugin):
    broken = write_plugin("class BrokenPlugin(Plugin):\n    name = 7\n")
    enable(broken, keep=("keys",))
    listed = plugins(run)
    assert listed["keys"]["state"] == "enabled"
    assert listed["rest"]["state"] == "disabled"
    assert listed[broken]["state"] == "broken"
    assert "give it a lower-case identifier" in listed[broken]["does"]
    assert listed[broken]["origin"] == "this project"
    assert listed["keys"]["does"] == "API keys and token verification."


def test_list_is_a_table_on_a_terminal_and_json_there_when_asked(terminal, enable):
    enable(keep=("keys",))
    shown = terminal("plugins", "list")
    assert "\x1b[" in shown
    assert "API keys and token verification." in shown
    assert "\x1b[" not in terminal("plugins", "list", NO_COLOR="1")
    assert "API keys and token verification." in terminal("plugins", "list", NO_COLOR="1")
    assert {row["name"] for row in json.loads(terminal("plugins", "list", "--json"))} >= {"keys", "rest"}


def test_show_tells_all_about_one_plugin(run, enable):
    enable()
    shown = json.loads(run("plugins", "show", "keys").stdout)
    assert shown["class"] == "plugins.keys.plugin:KeysPlugin"
    assert shown["provides"] == ["Keys"]
    assert "jwt_secret" in shown["settings"]
    assert "kernel_identify" in shown["implements"]


def test_show_of_an_unknown_plugin_names_the_nearest(run):
    result = run("plugins", "show", "kyes")
    assert (result.exit_code, result.stderr) == (
        1,
        "error: no plugin is called 'kyes'; see what there is: kernel plugins list; did you mean 'keys'?\n",
    )


def test_enable_and_disable_keep_comments_and_all_else(run, project):
    file = project / "kernel.toml"
    file.write_text(TOML)
    file.chmod(0o640)
    assert run("plugins", "enable", "rest").stdout == "rest is enabled from the next start on.\n"
    text = file.read_text()
    assert plugins(run)["rest"]["state"] == "enabled"
    assert text.startswith("# What we run, and why.\n[plugins]\n")
    assert text.endswith('[keys]\naudience = ["us"]  # ours\n')
    assert run("plugins", "disable", "rest").exit_code == 0
    assert plugins(run)["rest"]["state"] == "disabled"
    assert "# What we run, and why." in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [path.name for path in project.iterdir()] == ["kernel.toml"]


def test_a_change_that_is_none_says_so_and_writes_nothing(run, project):
    (project / "kernel.toml").write_text(TOML)
    assert run("plugins", "disable", "rest").stdout == "rest is not enabled.\n"
    assert run("plugins", "enable", "keys").stdout == "keys is already enabled.\n"
    assert (project / "kernel.toml").read_text() == TOML


def test_enable_makes_a_kernel_toml_where_there_is_none(run, project):
    assert run("plugins", "disable", "rest").exit_code == 0
    assert (project / "kernel.toml").read_text() == '[plugins]\ndisable = ["rest"]\n'


def test_a_plugin_of_the_project_is_enabled_by_its_class_and_disabled_again(run, project, write_plugin):
    name = write_plugin('class MinePlugin(Plugin):\n    "Mine."\n    name = "mine"\n')
    assert run("plugins", "enable", name).exit_code == 0
    assert plugins(run)["mine"] == {
        "name": "mine", "state": "enabled", "does": "Mine.", "origin": "this project", "version": "", "default": False,
    }  # fmt: skip
    assert run("plugins", "disable", name).exit_code == 0
    assert "mine" not in plugins(run)


def test_an_unknown_plugin_is_refused_with_the_nearest_name(run, project):
    result = run("plugins", "enable", "rset")
    assert result.exit_code == 1
    assert "no installed plugin is called 'rset'" in result.stderr
    assert "did you mean 'rest'?" in result.stderr
    assert list(project.iterdir()) == []


def test_a_change_after_which_the_kernel_could_not_start_is_refused(run, project, write_plugin):
    (project / "kernel.toml").write_text(TOML)
    refused = run("plugins", "disable", "database")
    assert refused.exit_code == 1
    assert "not changed, as the kernel could not start then: " in refused.stderr
    assert "requires Database" in refused.stderr
    broken = write_plugin('class BrokenPlugin(Plugin):\n    name = "keys"\n')
    assert "two plugins are called 'keys'" in run("plugins", "enable", broken).stderr
    assert (project / "kernel.toml").read_text() == TOML


def test_a_broken_plugin_can_be_disabled_though_another_is_broken_too(run, enable, write_plugin):
    first = write_plugin("class FirstPlugin(Plugin):\n    raise ValueError('first')\n")
    second = write_plugin("class SecondPlugin(Plugin):\n    raise ValueError('second')\n")
    enable(first, second)
    result = run("plugins", "disable", first)
    assert result.exit_code == 0
    assert "The kernel could not start before, and still cannot: " in result.stdout
    assert "second" in result.stdout
    assert run("plugins", "disable", second).stdout == f"{second} is disabled from the next start on.\n"


def test_what_the_environment_decides_is_not_written_into_the_file(run, project):
    result = run("plugins", "enable", "rest", KERNEL_PLUGINS__DISABLE='["rest"]')
    assert result.exit_code == 1
    assert "KERNEL_PLUGINS__DISABLE" in result.stderr
    assert list(project.iterdir()) == []


def test_a_file_that_cannot_be_written_is_one_line(run, project, monkeypatch):
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    result = run("plugins", "disable", "rest")
    assert (result.exit_code, result.stderr) == (
        1,
        f"error: {project / 'kernel.toml'} cannot be written: Permission denied\n",
    )
    assert list(project.iterdir()) == []

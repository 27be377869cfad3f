from __future__ import annotations

import json


def settings(run, *arguments, **environment):
    rows = json.loads(run("config", "show", *arguments, **environment).stdout)
    return {(row["section"], row["setting"]): (row["value"], row["source"]) for row in rows}


def test_show_tells_values_and_where_they_come_from_and_hides_secrets(run, project, enable):
    enable(keep=("keys",), more="[kernel]\nport = 9000\n")
    secret = "0123456789abcdefghijklmnopqrstuvwxyz"
    (project / ".env").write_text(f"KERNEL_KEYS__JWT_SECRET={secret}\n")
    result = run("config", "show", KERNEL_KERNEL__THREADS="8")
    assert secret not in result.stdout
    shown = settings(run, KERNEL_KERNEL__THREADS="8")
    assert shown["kernel", "host"] == ("127.0.0.1", "default")
    assert shown["kernel", "port"] == (9000, "kernel.toml")
    assert shown["kernel", "threads"] == (8, "KERNEL_KERNEL__THREADS")
    assert shown["keys", "jwt_secret"] == ("********", "KERNEL_KEYS__JWT_SECRET")
    assert {section for section, _ in settings(run, "keys")} == {"keys"}


def test_show_of_an_unknown_section_names_the_nearest(run, enable):
    enable(keep=("keys",))
    result = run("config", "show", "kyes")
    assert (result.exit_code, result.stderr) == (
        1,
        "error: there is no section 'kyes'; did you mean 'keys'?\n",
    )


def test_check_names_every_problem_at_once(run, enable, write_plugin):
    broken = write_plugin("class BrokenPlugin(Plugin):\n    raise ValueError('no good')\n")
    enable(
        broken,
        keep=("keys",),
        more='[kernel]\nport = "x"\ntreads = 2\n[keys]\naudience = 3\n[nobody]\nat = "home"\n',
    )
    result = run("config", "check", KERNEL_ELSEWHERE__KEY="1")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    for problem in (
        "[kernel] port: Expected `int`",
        "[kernel] treads: unknown setting; did you mean 'threads'?",
        "[keys] audience: Expected `array`",
        "[nobody] belongs to no installed plugin",
        "KERNEL_ELSEWHERE__KEY: no installed plugin",
        "no good",
    ):
        assert sum(problem in line for line in lines) == 1, (problem, result.stderr)
    assert len(lines) == 6
    assert all(line.startswith("error: ") for line in lines)
    shown = json.loads(run("config", "check", "--json", KERNEL_ELSEWHERE__KEY="1").stdout)
    assert not shown["ok"]
    assert len(shown["problems"]) == 6


def test_check_finds_what_only_registering_shows(run, enable, write_plugin):
    enable(
        write_plugin("""
        class HookPlugin(Plugin):
            name = "hook"

            @hookimpl
            def kernel_strat(self): ...
        """)
    )
    result = run("config", "check")
    assert (result.exit_code, "did you mean 'kernel_start'?" in result.stderr) == (1, True)


def test_check_finds_two_plugins_on_one_route(run, enable, write_plugin):
    source = """
    class {0}Plugin(Plugin):
        name = "{1}"

        @hookimpl
        def kernel_routes(self):
            return [Route("GET", "/same", self.get)]

        def get(self, request): ...
    """
    names = [write_plugin(source.format(name, name.lower())) for name in ("One", "Two")]
    enable(*names)
    result = run("config", "check")
    assert result.exit_code == 1
    assert "plugins 'one' and 'two' both have the route" in result.stderr


def test_check_of_settings_that_fit_is_silent_but_for_one_line(run, enable):
    enable(keep=("keys",))
    result = run("config", "check")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "Everything fits.\n", "")


def test_schema_accepts_what_init_writes_and_knows_every_setting(run):
    run("init")
    schema = json.loads(run("config", "schema").stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"kernel", "plugins", "provide", "keys", "database", "rest"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False
    kernel = schema["$defs"]["KernelSettings"]["properties"]["port"]
    assert kernel == {
        "description": "Port that `kernel serve` listens on; 0 takes a free one.",
        "type": "integer", "minimum": 0, "maximum": 65535, "default": 8000,
    }  # fmt: skip
    secret = schema["$defs"]["KeysSettings"]["properties"]["jwt_secret"]
    assert (secret["type"], "default" in secret) == ("string", False)
    assert "jwt_secret" not in schema["$defs"]["KeysSettings"].get("required", [])

from __future__ import annotations

import json

PLUGIN = """
class FrontPlugin(Plugin):
    name = "front"

    @hookimpl
    def kernel_routes(self):
        yield Route("GET", "/front/{name}", self.get, summary="Say it")
        yield Route("POST", "/front", self.post)
        yield Route("GET", "/fast", self.get_fast, inline=True)

    @hookimpl(trylast=True)
    def kernel_before_request(self, request): ...

    def get(self, request, name): ...

    async def post(self, request): ...

    def get_fast(self, request): ...
"""

LATE = """
class LatePlugin(Plugin):
    name = "late"

    @hookimpl
    def kernel_start(self):
        self.paths = ["/late"]

    @hookimpl
    def kernel_routes(self):
        return [Route("GET", path, self.get) for path in self.paths]

    @hookimpl
    def kernel_before_request(self, request): ...

    def get(self, request): ...
"""


def test_routes_are_listed_by_path_with_how_they_run(run, enable, write_plugin):
    enable(write_plugin(PLUGIN))
    rows = json.loads(run("routes").stdout)
    assert [(row["method"], row["path"], row["plugin"], row["runs"]) for row in rows] == [
        ("GET", "/fast", "front", "inline"),
        ("POST", "/front", "front", "async"),
        ("GET", "/front/{name}", "front", "thread"),
        ("GET", "/healthz", "kernel", "inline"),
        ("GET", "/readyz", "kernel", "thread"),
    ]
    assert rows[2]["summary"] == "Say it"


def test_a_plugin_that_knows_its_routes_only_once_started_is_named_or_started(
    run, project, enable, write_plugin
):
    enable(write_plugin(LATE))
    result = run("routes")
    assert result.exit_code == 0
    assert "/late" not in result.stdout
    assert result.stderr == (
        "The routes of 'late' are known only once it has started; see them with: kernel routes --start\n"
    )
    assert "data" not in [path.name for path in project.iterdir()]
    assert '"/late"' in run("routes", "--start").stdout


def test_hooks_are_listed_with_who_implements_them_in_the_order_of_the_calls(run, enable, write_plugin):
    enable(write_plugin(PLUGIN), write_plugin(LATE))
    rows = {row["hook"]: row for row in json.loads(run("hooks").stdout)}
    assert list(rows) == ["kernel_start", "kernel_routes", "kernel_before_request"]
    assert rows["kernel_routes"]["implemented_by"] == ["front", "late"]
    assert rows["kernel_before_request"]["implemented_by"] == ["late", "front (trylast)"]
    assert rows["kernel_start"]["declared_by"] == "kernel"


def test_all_hooks_are_listed_when_asked_in_the_order_of_a_life(run, enable, write_plugin):
    enable()
    assert json.loads(run("hooks").stdout) == []
    names = [row["hook"] for row in json.loads(run("hooks", "--all").stdout)]
    assert names[:3] == ["kernel_services", "kernel_prepare", "kernel_start"]
    assert names[-1] == "kernel_stop"


def test_hooks_that_plugins_declare_come_after_the_kernel_own(run, enable, write_plugin):
    enable(
        write_plugin("""
        class OwnPlugin(Plugin):
            name = "own"

            class Hooks:
                @__import__("kernel").hookspec
                def own_thing(self):
                    "Say what it is."

            hookspecs = (Hooks,)
        """)
    )
    assert json.loads(run("hooks", "--all").stdout)[-1] == {
        "hook": "own_thing", "declared_by": "own", "implemented_by": [], "summary": "Say what it is.",
    }  # fmt: skip


def test_both_are_tables_on_a_terminal(terminal, enable, write_plugin):
    enable(write_plugin(PLUGIN))
    assert "/front/{name}" in terminal("routes", NO_COLOR="1")
    assert "kernel_routes" in terminal("hooks", NO_COLOR="1")

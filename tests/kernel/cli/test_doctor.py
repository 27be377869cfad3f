from __future__ import annotations

import json
import os
import shutil
import socket
from collections import namedtuple
from pathlib import Path

import pytest

from kernel.cli import examination

FREE = "[kernel]\nport = 0\n"


@pytest.fixture
def examined(run):
    def examine(**environment: str) -> dict[str, dict[str, str | None]]:
        return {finding["about"]: finding for finding in json.loads(run("doctor", **environment).stdout)}

    return examine


def test_all_is_well_in_an_empty_folder_and_stays_untouched(run, project, examined):
    found = examined(KERNEL_KERNEL__PORT="0")
    assert {finding["state"] for finding in found.values()} == {"ok"}
    assert list(found) == ["python", "settings", "plugins", "data", "disk", "port", "clock", "database"]
    assert run("doctor", KERNEL_KERNEL__PORT="0").exit_code == 0
    assert list(project.iterdir()) == []


def test_the_database_is_asked_and_no_migration_applied(run, project, examined):
    (project / "data").mkdir(mode=0o700)
    run("init")
    found = examined()["database"]
    assert (found["state"], found["text"]) == ("ok", "sqlite answers, 0 tables")


def test_a_database_that_is_none_is_a_problem(run, project, examined):
    (project / "data").mkdir(mode=0o700)
    (project / "data" / "kernel.db").write_bytes(b"not a database at all" * 100)
    assert examined()["database"]["state"] == "problem"
    assert run("doctor").exit_code == 1


def test_every_problem_of_the_settings_is_named_and_the_rest_examined(run, enable):
    enable(more='[kernel]\nport = "x"\n')
    findings = json.loads(run("doctor").stdout)
    assert [finding["state"] for finding in findings if finding["about"] == "settings"] == ["problem"]
    enable(more="[nobody]\na = 1\n[noone]\na = 1\n")
    findings = json.loads(run("doctor").stdout)
    assert sum(finding["about"] == "settings" for finding in findings) == 2
    assert "disk" in [finding["about"] for finding in findings]
    assert run("doctor").exit_code == 1


def test_a_port_in_use_is_a_warning(run, examined):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        found = examined(KERNEL_KERNEL__PORT=port)["port"]
        assert (found["state"], f"port {port} on 127.0.0.1 is in use" in found["text"]) == ("warning", True)


def test_secrets_that_others_can_read_are_a_warning_with_the_command(project, examined):
    (project / ".env").write_text("A=1\n")
    (project / ".env").chmod(0o644)
    (project / "data").mkdir(mode=0o755)
    found = examined()
    assert found["secrets"]["remedy"] == f"chmod 600 {project / '.env'}"
    assert found["data"]["remedy"] == f"chmod 700 {project / 'data'}"


def test_a_data_folder_that_is_a_file_is_a_problem(project, examined):
    (project / "data").write_text("")
    assert examined()["data"]["state"] == "problem"


def test_a_hook_that_keeps_inline_routes_from_the_loop_is_a_warning(enable, examined, write_plugin):
    enable(
        write_plugin("""
        class SlowPlugin(Plugin):
            name = "slow"

            @hookimpl
            def kernel_before_request(self, request): ...

            @hookimpl
            def kernel_routes(self):
                yield Route("GET", "/fast", self.get, inline=True)

            def get(self, request): ...
        """)
    )
    found = examined()["inline"]
    assert found["state"] == "warning"
    assert "slow" in found["text"]
    assert "@nonblocking" in found["remedy"]


@pytest.mark.parametrize(("free", "state"), [(1 << 20, "problem"), (500 << 20, "warning"), (1 << 40, "ok")])
def test_a_full_disk_is_found(monkeypatch, examined, free, state):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1 << 41, 0, free))
    assert examined()["disk"]["state"] == state


def test_a_clock_behind_the_files_is_a_problem(project, examined):
    (project / "data").mkdir(mode=0o700)
    file = project / "data" / "later"
    file.write_text("")
    os.utime(file, (4_000_000_000, 4_000_000_000))
    found = examined()["clock"]
    assert (found["state"], "2096" in found["text"]) == ("problem", True)


def test_a_network_file_system_is_a_warning(monkeypatch, run):
    monkeypatch.setattr(examination, "_file_system", lambda path: "nfs4")
    findings = json.loads(run("doctor").stdout)
    assert any("network file system (nfs4)" in finding["text"] for finding in findings)


def test_the_file_system_is_the_one_that_is_mounted_nearest(monkeypatch):
    mounts = "/dev/a / ext4 rw 0 0\nserver:/x /srv nfs4 rw 0 0\n/dev/b /srv/local xfs rw 0 0\n"
    monkeypatch.setattr(Path, "read_text", lambda self, **_: mounts)
    assert examination._file_system(Path("/srv/data")) == "nfs4"
    assert examination._file_system(Path("/srv/local/data")) == "xfs"
    assert examination._file_system(Path("/home")) == "ext4"


def test_on_a_terminal_each_finding_is_a_line_and_the_remedy_below(terminal, project):
    (project / ".env").write_text("A=1\n")
    shown = terminal("doctor", NO_COLOR="1")
    assert "✓ python" in shown
    assert "! secrets" in shown
    assert f"→ chmod 600 {project / '.env'}" in shown

from __future__ import annotations

import re
import stat

from kernel.config import Config


def test_init_makes_a_project_with_secrets_that_only_its_owner_can_read(run, project):
    result = run("init", "shop")
    shop = project / "shop"
    assert result.exit_code == 0
    assert "cd shop && kernel serve" in result.stdout
    names = sorted(path.name for path in shop.iterdir())
    assert names == [".env", ".gitignore", "kernel.toml", "migrations"]
    assert stat.S_IMODE((shop / ".env").stat().st_mode) == 0o600
    assert re.search(r"^KERNEL_KEYS__JWT_SECRET=[\w-]{64}$", (shop / ".env").read_text(), re.MULTILINE)
    assert {".env", "data/"} <= set((shop / ".gitignore").read_text().splitlines())
    assert [path.name[14:] for path in (shop / "migrations").iterdir()] == ["_notes.sql"]
    assert run("--project", "shop", "config", "check").exit_code == 0


def test_every_project_has_secrets_of_its_own(run, project):
    run("init", "one")
    run("init", "two")
    assert (project / "one" / ".env").read_text() != (project / "two" / ".env").read_text()


def test_init_leaves_what_is_there_and_has_git_ignore_secrets(run, project):
    (project / ".env").write_text("MINE=1\n")
    (project / ".gitignore").write_text("*.pyc\ndata/")
    (project / "migrations").mkdir()
    assert run("init").exit_code == 0
    assert (project / ".env").read_text() == "MINE=1\n"
    assert (project / ".gitignore").read_text() == "*.pyc\ndata/\n.env\n"
    assert list((project / "migrations").iterdir()) == []
    assert Config.load(project, {}).tables["plugins"] == {"enable": [], "disable": []}


def test_where_a_server_has_run_the_secrets_in_use_stay(run, project):
    (project / "data").mkdir()
    assert run("init").exit_code == 0
    assert not (project / ".env").exists()


def test_a_project_is_not_made_twice(run, project):
    run("init")
    before = (project / ".env").read_text()
    result = run("init")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {project} is a project already")
    assert (project / ".env").read_text() == before


def test_a_folder_that_cannot_be_written_is_one_line(run, project):
    (project / "file").write_text("")
    result = run("init", "file/shop")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "cannot be written: Not a directory" in result.stderr

from __future__ import annotations

from typing import get_type_hints

import msgspec
import pytest
from click.testing import CliRunner

from docs.generate import COMMAND, _metas, _type, main, pages
from kernel.cli.app import BUILT_IN
from kernel.config import KernelSettings, PluginChoice, Secret
from kernel.discovery import discover, installed
from kernel.hookspecs import KernelHooks


@pytest.fixture
def made(tmp_path):
    return pages(tmp_path)


def test_every_hook_is_described_with_its_signature(made):
    for name in vars(KernelHooks):
        if name.startswith("kernel_"):
            assert f"### `{name}`\n\n```python\ndef {name}(self" in made["hooks.md"]
    assert "def kernel_identify(self, request: Request) -> Identity | None: ..." in made["hooks.md"]
    assert "The first result that is not None ends the call." in made["hooks.md"]


def test_every_setting_is_described(made, tmp_path):
    kinds = {"kernel": KernelSettings, "plugins": PluginChoice}
    kinds |= {record.name: record.cls.Settings for record in discover(PluginChoice(), tmp_path, installed())}
    for section, kind in kinds.items():
        hints = get_type_hints(kind, include_extras=True)
        for field in msgspec.structs.fields(kind):
            where = f"[{section}] {field.encode_name}"
            assert f"`KERNEL_{section.upper()}__{field.encode_name.upper()}`" in made["settings.md"], where
            assert any(meta.description for meta in _metas(hints[field.name])), f"{where} has no description"


def test_every_command_is_described(made):
    for name in BUILT_IN:
        assert f"## `kernel {name}`\n" in made["cli.md"]
    assert "## `kernel plugins enable`\n" in made["cli.md"]
    assert "## `kernel keys`, of the plugin keys\n" in made["cli.md"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (str, "text"),
        (int | None, "integer"),
        (tuple[str, ...], "list of text"),
        (dict[str, int], "table of integer"),
        (Secret, "secret text"),
        (PluginChoice, "`PluginChoice`"),
    ],
)
def test_types_are_named_as_who_writes_toml_would(kind, text):
    assert _type(kind) == text


def test_check_names_what_is_stale_and_the_command_that_mends_it(tmp_path):
    docs = tmp_path / "docs"
    assert CliRunner().invoke(main, [str(docs)]).exit_code == 0
    assert CliRunner().invoke(main, ["--check", str(docs)]).exit_code == 0
    (docs / "cli.md").write_text("old")
    (docs / "hooks.md").unlink()
    result = CliRunner().invoke(main, ["--check", str(docs)])
    assert result.exit_code == 1
    for name in ("cli.md", "hooks.md"):
        assert (
            f"error: {docs / name} is not as the code has it; make it anew with: {COMMAND}" in result.stderr
        )
    assert "settings.md" not in result.stderr
    assert (docs / "cli.md").read_text() == "old"


def test_pages_do_not_depend_on_this_environment(monkeypatch, tmp_path, made):
    monkeypatch.setenv("KERNEL_PLUGINS__DISABLE", '["rest"]')
    monkeypatch.setenv("COLUMNS", "40")
    assert pages(tmp_path) == made

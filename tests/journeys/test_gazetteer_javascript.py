"""The gazetteer through npm's `@supabase/supabase-js` and `postgrest-js`, on both engines."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Rows = list[dict[str, Any]]

CLIENTS = Path(__file__).parent.parent / "clients"

pytestmark = pytest.mark.long


@pytest.fixture
def run(
    node_modules: Path, requires_tool: Callable[[str], str], source: dict[str, Rows], tmp_path: Path
) -> Callable[[str, Any], None]:
    """Return a function that runs one file of tests/clients against a server."""
    rows = tmp_path / "source.json"
    rows.write_text(json.dumps(source))

    def node(suite: str, server: Any) -> None:
        done = subprocess.run(
            [requires_tool("node"), "--test", "--test-reporter=spec", str(CLIENTS / suite)],
            cwd=node_modules.parent,
            env=os.environ
            | {
                "KERNEL_URL": server.url,
                "KERNEL_SERVICE_KEY": server.service_key,
                "KERNEL_ANON_KEY": server.anon_key,
                "KERNEL_SOURCE": str(rows),
            },
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "ℹ tests 0" not in done.stdout, done.stdout

    return node


def test_the_published_javascript_clients_load_read_and_change_the_gazetteer(
    run: Callable[[str, Any], None],
    project: Path,
    serve: Callable[..., Any],
    module_engine: dict[str, str],
) -> None:
    run("gazetteer.test.mjs", serve(project, **module_engine))


@pytest.mark.parametrize("suite", ["relations", "functions", "extras"])
def test_they_join_call_and_say_in_headers_what_else_they_want(
    run: Callable[[str, Any], None], server: Any, suite: str
) -> None:
    run(f"{suite}.test.mjs", server)

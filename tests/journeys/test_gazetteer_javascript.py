"""The gazetteer through npm's `@supabase/supabase-js` and `postgrest-js`, against a server of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Rows = list[dict[str, Any]]

SUITE = Path(__file__).parent.parent / "clients" / "gazetteer.test.mjs"


@pytest.mark.long
def test_the_published_javascript_clients_load_read_and_change_the_gazetteer(
    node_modules: Path,
    requires_tool: Callable[[str], str],
    project: Path,
    serve: Callable[..., Any],
    source: dict[str, Rows],
    tmp_path: Path,
) -> None:
    rows = tmp_path / "source.json"
    rows.write_text(json.dumps(source))
    server = serve(project)
    done = subprocess.run(
        [requires_tool("node"), "--test", "--test-reporter=spec", str(SUITE)],
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

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import kernel.testing as kit

PAGE = Path(__file__).parents[3] / "docs" / "testing.md"


def test_the_page_on_testing_runs_as_it_is_written(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    assert len(blocks[1].strip().splitlines()) <= 10
    (tmp_path / "test_page.py").write_text("\n\n".join(blocks))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 10


def test_every_public_name_of_the_kit_is_there() -> None:
    for name in kit.__all__:
        assert getattr(kit, name).__module__.startswith("kernel.testing.")

"""The coverage of policies, as runs of pytest print it, on both engines, in one process and in several."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernel.testing.policy_coverage import PolicyCoverage
from kernel.testing.rights import as_anon, as_user

ANN, BOB = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
SCHEMA = f"""
create table posts (id bigint primary key, author uuid, public boolean default false, title text);
grant select on posts to anon; grant select, insert, update, delete on posts to authenticated;
alter table posts enable row level security;
create policy own on posts to authenticated using (author = auth.uid());
create policy open on posts for select using (public);
create policy titled on posts as restrictive for update with check (title is not null);
create policy erased on posts for delete to anon using (id > 1);
create table news (id bigint primary key); grant select on news to anon;
alter table news enable row level security; create policy everyone on news for select using (true);
insert into posts values (1, '{ANN}', false, 'a'), (2, '{BOB}', true, 'b'), (3, '{ANN}', true, 'c');
insert into news values (1);
"""
PROJECT = """
import pytest
from kernel.testing.rights import as_anon, as_user

ANN, BOB = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"


@pytest.fixture
def kernel_options():
    return {
        "plugins": ["database", "migrations", "permissions"],
        "settings": {"database": {"url": "URL"}},
        "migrations": {"20260101000000_posts.sql": SCHEMA},
    }
"""

CASES = {
    # What asserts nothing of a policy exercises none: no row, a row that two let through, a grant that is missing.
    "nothing": ("as_user(kernel, ANN).cannot_select('posts', id=77)", {}),
    "two": ("as_user(kernel, ANN).can_select('posts', id=3)", {}),
    "grant": ("as_anon(kernel).cannot_delete('posts', id=2)", {}),
    "any": ("as_user(kernel, ANN).can_select('posts')", {}),
    "own lets": ("as_user(kernel, ANN).can_select('posts', id=1)", {"own": "yes NO"}),
    "own hides": ("as_anon(kernel).cannot_select('posts', id=1)", {"open": "NO yes"}),
    "both hide": (
        "as_user(kernel, BOB).cannot_select('posts', id=1)", {"open": "NO yes", "own": "NO yes"},
    ),
    "open lets": ("as_anon(kernel).can_select('posts', id=2)", {"open": "yes NO"}),
    "insert": ("as_user(kernel, ANN).can_insert('posts', {'id': 9, 'author': ANN})", {"own": "yes NO"}),
    "no insert": ("as_user(kernel, ANN).cannot_insert('posts', {'id': 9, 'author': BOB})", {"own": "NO yes"}),
    "restricted": (
        "as_user(kernel, ANN).cannot_update('posts', {'title': None}, id=1)", {"titled": "NO yes"},
    ),
    "update": (
        "as_user(kernel, ANN).can_update('posts', {'title': 'z'}, id=1)", {"own": "yes NO", "titled": "yes NO"},
    ),
    "always": ("as_anon(kernel).can_select('news', id=1)", {"everyone": "yes -"}),
}  # fmt: skip
NONE = {"own": "NO NO", "open": "NO NO", "titled": "NO NO", "erased": "NO NO", "everyone": "NO -"}


def run(folder: Path, url: str, tests: dict[str, str], *options: str) -> tuple[int, str]:
    """Run tests, each of one statement, and return pytest's exit code and output."""
    source = f"SCHEMA = {SCHEMA!r}\n{PROJECT}".replace("URL", url)
    source += "".join(f"\n\ndef test_{name}(kernel):\n    {body}\n" for name, body in tests.items())
    (folder / "test_project.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def told(output: str) -> dict[str, str]:
    return {
        name: f"{let} {refused}"
        for name, let, refused in re.findall(
            r"^public\.\w+ (\w+) +(yes|NO|-) +(yes|NO|-)$", output, re.MULTILINE
        )
    }


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kernel(request: pytest.FixtureRequest, kernel_factory: Any) -> Iterator[Any]:
    url = "sqlite:///:memory:"
    if request.param == "postgresql":
        url = request.getfixturevalue("make_postgresql_database")()
    kernel = kernel_factory(
        plugins=["database", "migrations", "permissions"],
        settings={"database": {"url": url}},
        migrations={"20260101000000_posts.sql": SCHEMA},
    )
    yield kernel
    kernel.stop()


@pytest.mark.parametrize("case", list(CASES))
def test_an_assertion_exercises_what_decides_it(kernel: Any, case: str) -> None:
    statement, exercised = CASES[case]
    coverage = kernel.policy_coverage = PolicyCoverage()
    names = {"kernel": kernel, "as_user": as_user, "as_anon": as_anon, "ANN": ANN, "BOB": BOB}
    assertion = eval(f"lambda: {statement}", names)
    assertion()
    found = {
        row.policy: f"{_told(row.let)} {'-' if row.always else _told(row.refused)}" for row in coverage.rows()
    }
    assert found == {**NONE, **exercised}


def test_an_assertion_that_fails_exercises_nothing(kernel: Any) -> None:
    coverage = kernel.policy_coverage = PolicyCoverage()
    with pytest.raises(AssertionError):
        as_user(kernel, BOB).can_select("posts", id=1)
    with pytest.raises(AssertionError):
        as_user(kernel, ANN).cannot_select("posts", id=1)
    assert not any(any(row.branches) for row in coverage.rows())


def _told(seen: bool) -> str:
    return "yes" if seen else "NO"


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_run_of_several_processes_is_one_report(
    tmp_path: Path, engine: str, request: pytest.FixtureRequest
) -> None:
    url = "sqlite:///:memory:" if engine == "sqlite" else request.getfixturevalue("postgresql_url")
    names = ["own lets", "no insert", "open lets", "own hides", "always"]
    tests = {name.replace(" ", "_"): CASES[name][0] for name in names}
    workers = ("-n", "2") if engine == "sqlite" else ("-p", "no:xdist")
    code, output = run(tmp_path, url, tests, "--policy-coverage-fail-under=55", *workers)
    assert code == 0, output
    assert told(output) == {**NONE, "own": "yes yes", "open": "yes yes", "everyone": "yes -"}
    assert "5 policies, 56% covered" in output
    if engine == "sqlite":
        code, output = run(tmp_path, url, tests, "--policy-coverage-fail-under=100", *workers)
        assert code == 1
        assert "policy coverage is under 100%" in output


def test_a_run_that_does_not_ask_for_it_says_nothing(tmp_path: Path) -> None:
    code, output = run(tmp_path, "sqlite:///:memory:", {"it": CASES["own lets"][0]}, "-p", "no:xdist")
    assert code == 0, output
    assert "policy coverage" not in output

"""Runs postgrest-js's own live tests against a real server: ``python -m tests.conformance.postgrest_js --help``.

They speak to ``http://localhost:54321/rest/v1`` without a key, so that the server listens there and what it holds is
open to everybody. Needs Node 20 and npm, which fetches Jest and TypeScript.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from tests.conformance.fixtures import Statement, statements
from tests.conformance.loading import Loaded, run
from tests.conformance.serving import serving

_PORT = 54321
_SCHEMAS = ("public", "personal")
# What the suite's own server has by default: everything in both schemas is everybody's.
_OPENED = [
    f"{verb} {what} schema {schema} to anon, authenticated, service_role"
    for schema in _SCHEMAS
    for verb, what in (
        ("grant usage on", ""),
        ("grant all on all tables in", ""),
        ("grant all on all sequences in", ""),
    )
]
# PostgREST's settings, for which ours stand in.
_PLACED = re.compile(r"alter role \w+ set pgrst\.", re.IGNORECASE)
_SETTINGS = {
    "rest": {
        "schemas": list(_SCHEMAS),
        "aggregates": True,
        "tx_end": "commit-allow-override",
        "max_rows": 1000,
    }
}
_PACKAGES = {
    "jest": "30.4.2",
    "ts-jest": "29.4.9",
    "@types/jest": "30.0.0",
    "@types/node": "20.19.9",
    "typescript": "5.8.3",
    "prettier": "2.8.8",
    "zod": "3.25.76",
    "tslib": "2.8.1",
    "type-fest": "4.32.0",
    "ts-node": "10.9.2",
}
_COMPILER = {
    "strict": True,
    "skipLibCheck": True,
    "module": "CommonJS",
    "moduleResolution": "Node",
    "target": "ES2022",
    "lib": ["es2022", "dom"],
    "esModuleInterop": True,
    "importHelpers": True,
    "isolatedModules": True,
    "types": ["jest", "node"],
}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST_REASON = 160


class Test(msgspec.Struct, frozen=True):
    """A test of the suite, and why it failed, if it did."""

    file: str
    name: str
    reason: str | None


@click.command()
@click.option(
    "--suite",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of postgrest-js in a clone of supabase-js.",
)
@click.option("--engine", type=click.Choice(["sqlite", "postgresql"]), default="sqlite", show_default=True)
@click.option(
    "--database",
    default="postgresql://127.0.0.1:5432/postgres",
    show_default=True,
    help="A database of the PostgreSQL server, whose login may make databases.",
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file for the table, as Markdown."
)
@click.option("--only", metavar="PATTERN", default="", help="Test files whose name has it.")
@click.option("--verbose", is_flag=True, help="Show what Jest says of each failure.")
def main(suite: Path, engine: str, database: str, output: Path | None, only: str, *, verbose: bool) -> None:
    """Run postgrest-js's live tests; the exit code tells whether they ran, not whether all passed."""
    with tempfile.TemporaryDirectory(prefix="kernel-postgrest-js-") as name:
        folder = Path(name)
        _install(suite, folder / "suite")
        with _database(engine, database, folder) as url:
            (folder / "loading").mkdir()
            loaded = run(_fixtures(suite), folder / "loading", url)
            with serving(folder / "project", url, _SETTINGS, _PORT):
                tests = list(_run(folder / "suite", only, verbose=verbose))
    lines = list(_table(tests))
    click.echo(
        "\n".join([f"fixtures: {len(loaded.refused)} of {loaded.statements} statements refused", *lines])
    )
    if output is not None:
        output.write_text(_page(engine, loaded, tests, lines), encoding="utf-8")


def _install(suite: Path, folder: Path) -> None:
    folder.mkdir()
    for part in ("src", "test"):
        shutil.copytree(suite / part, folder / part)
    shutil.copy(suite / "jest.config.ts", folder)
    package = {"private": True, "name": "live", "version": "0.0.0", "devDependencies": _PACKAGES}
    (folder / "package.json").write_text(json.dumps(package))
    config = {"include": ["src", "test"], "compilerOptions": _COMPILER}
    (folder / "tsconfig.test.json").write_text(json.dumps(config))
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)


@contextmanager
def _database(engine: str, server: str, folder: Path) -> Iterator[str]:
    """Make a database and yield its URL; one on a server is dropped."""
    if engine == "sqlite":
        yield f"sqlite:///{folder / 'suite.db'}"
        return
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    name = f"postgrest_js_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
        try:
            given = conninfo_to_dict(server)
            login = f"{given.get('user', '')}@" if "user" in given else ""
            yield f"postgresql://{login}{given.get('host', '127.0.0.1')}:{given.get('port', 5432)}/{name}"
        finally:
            connection.execute(f"drop database {name} with (force)".encode())


def _fixtures(suite: Path) -> Iterator[Statement]:
    yield Statement("create schema extensions", "ours", 0)
    for script in (
        *sorted((suite / "test/supabase/migrations").glob("*.sql")),
        suite / "test/supabase/seed.sql",
    ):
        yield from (one for one in statements(script, {}) if not _PLACED.match(one.text))
    for text in _OPENED:
        yield Statement(text, "ours", 0)


def _run(folder: Path, only: str, *, verbose: bool) -> Iterator[Test]:
    """Run the suite, without rewriting its snapshots, and yield its tests."""
    told = folder / "told.json"
    command = ["npx", "jest", "--runInBand", "--ci", "--json", f"--outputFile={told}"]
    command += ["--testPathIgnorePatterns", "/node_modules/", "/test/v12/"]
    done = subprocess.run(
        [*command, *([f"--testPathPatterns={only}"] if only else [])],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    if verbose:
        click.echo(done.stderr)
    if not told.exists():
        raise click.ClickException(f"Jest did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    for file in json.loads(told.read_text())["testResults"]:
        name = Path(file["name"]).name
        if not file["assertionResults"]:
            yield Test(name, "(the whole file)", _reason(file["message"]))
        for test in file["assertionResults"]:
            if test["status"] in ("passed", "failed"):
                reason = _reason("\n".join(test["failureMessages"])) if test["status"] == "failed" else None
                yield Test(name, test["fullName"], reason)


def _reason(message: str) -> str:
    """Return what a failure says that differs, in one line."""
    lines = [_COLOURS.sub("", line).strip() for line in message.splitlines()]
    differing = [line for line in lines if re.match(r"[-+] (?!Expected|Received|Snapshot)", line)]
    expected, found = (sorted(line[1:].strip(" ,") for line in differing if line[0] == sign) for sign in "-+")
    if expected and expected == found:
        return "the order of rows, which was not asked for"
    text = " ".join(differing or [line for line in lines if line][:3])
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 1] + "…"


def _table(tests: Sequence[Test]) -> Iterator[str]:
    yield "| file | passed | of |"
    yield "|---|---:|---:|"
    for file in sorted({test.file for test in tests}):
        mine = [test for test in tests if test.file == file]
        yield f"| {file} | {sum(test.reason is None for test in mine)} | {len(mine)} |"
    yield f"| all | {sum(test.reason is None for test in tests)} | {len(tests)} |"


def _page(engine: str, loaded: Loaded, tests: Sequence[Test], table: Sequence[str]) -> str:
    lines = [
        f"<!-- Made by `python -m tests.conformance.postgrest_js --engine {engine}`. -->",
        "",
        f"# postgrest-js's own tests on {'SQLite' if engine == 'sqlite' else 'PostgreSQL'}",
        "",
        "The live tests of the client that Supabase publishes, against `kernel serve` with their schema and rows.",
        "",
        *table,
        "",
        f"## Statements refused: {len(loaded.refused)} of {loaded.statements}",
        "",
        "What needs them fails too.",
        "",
        *(f"- `{_cell(one.statement)}`: {one.reason}" for one in loaded.refused),
        "",
        "## Tests that fail",
        "",
        "| file | test | what differs |",
        "|---|---|---|",
        *(
            f"| {one.file} | {_cell(one.name)} | `{_cell(one.reason)}` |"
            for one in tests
            if one.reason is not None
        ),
    ]
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    shortened = " ".join(text.split())[:_LONGEST_REASON]
    return shortened.replace("|", "\\|").replace("`", "'")


if __name__ == "__main__":
    main(prog_name="python -m tests.conformance.postgrest_js")

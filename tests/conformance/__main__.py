"""Sends PostgREST's own requests to a real server and compares its answers: ``python -m tests.conformance --help``."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from time import monotonic

import click

from tests.conformance import configuration, report
from tests.conformance.cases import Case, Suite, in_runs, read
from tests.conformance.comparison import compare
from tests.conformance.loading import load
from tests.conformance.places import Place, postgresql_place, sqlite_place
from tests.conformance.report import Result
from tests.conformance.serving import Server, ServerFailed, serving

_REPOSITORY = Path(__file__).parents[2]
_CACHE = Path(tempfile.gettempdir()) / "kernel-conformance"
_SERVER = "postgresql://127.0.0.1:5432/postgres"


@click.command()
@click.option(
    "--cases",
    "file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The cases, as JSON.",
)
@click.option(
    "--fixtures",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="PostgREST's test/spec/fixtures at the commit that the cases name.",
)
@click.option("--engine", type=click.Choice(["sqlite", "postgresql"]), default="sqlite", show_default=True)
@click.option(
    "--database",
    default=_SERVER,
    show_default=True,
    help="A database of the PostgreSQL server, whose login may make databases and roles.",
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file for the table, as Markdown."
)
@click.option(
    "--only",
    metavar="PATTERN",
    help="Groups with a case whose place, description or request has it; or a number.",
)
@click.option("--verbose", is_flag=True, help="Show each failing request, what was expected and what came.")
@click.option("--causes", is_flag=True, help="Show the failures by what they have in common.")
@click.option("--refused", is_flag=True, help="Show why statements of the fixtures were refused.")
@click.option(
    "--cached", is_flag=True, help="Keep the loaded fixtures for the next run, as long as no source changes."
)
def main(
    file: Path,
    fixtures: Path,
    engine: str,
    database: str,
    output: Path | None,
    only: str | None,
    verbose: bool,
    causes: bool,
    refused: bool,
    cached: bool,
) -> None:
    """Compare the REST API with PostgREST's own cases.

    The exit code tells whether it could be measured, not whether all cases passed.
    """
    suite, begin = read(file), monotonic()
    with tempfile.TemporaryDirectory(prefix="kernel-conformance-") as name:
        folder = Path(name)
        key = _key(fixtures, engine) if cached else None
        with _place(engine, database, fixtures, folder, key) as place:
            loaded_in = monotonic() - begin
            try:
                results = run(suite, place, folder, only, engine)
            except ServerFailed as error:
                raise click.ClickException(str(error)) from error
        loaded = place.loaded
    if verbose:
        for result in report.failures(results):
            click.echo(_told(result))
    for wanted, lines in ((refused, report.refusals(loaded.refused)), (causes, report.causes(results))):
        if wanted:
            click.echo("\n".join([*lines, ""]))
    click.echo(f"fixtures: {len(loaded.refused)} of {loaded.statements} statements refused")
    for line in report.table(results):
        click.echo(line)
    click.echo(f"{loaded_in:.1f} s to load, {monotonic() - begin:.1f} s in all")
    if output is not None:
        command = f"python -m tests.conformance --engine {engine}"
        output.write_text(report.page(engine, suite.commit, loaded, results, command), encoding="utf-8")


def run(suite: Suite, place: Place, folder: Path, only: str | None, engine: str) -> list[Result]:
    """Send the cases, those of one configuration to one server, and return the results in the suite's order."""
    pristine = place.state()
    results: list[Result] = []
    runs = in_runs(suite.groups(only), lambda config: json.dumps(configuration.settings(config, engine)))
    with click.progressbar(length=sum(map(len, runs.values())), label="groups") as bar:
        for number, (settings, groups) in enumerate(runs.items()):
            with serving(folder / f"server-{number}", place.url, json.loads(settings)) as server:
                for cases in groups:
                    results += run_group(cases, server, place, pristine, engine)
                    bar.update(1)
    return sorted(results, key=lambda result: result.case.id)


def run_group(
    cases: list[Case], server: Server, place: Place, pristine: object, engine: str
) -> Iterator[Result]:
    """Send the cases of a group and put the database back; what is not to stay until then, the server undoes."""
    wrote = False
    for case in cases:
        answer = server.send(case)
        yield Result(
            case,
            answer,
            tuple(compare(case.expect, answer)),
            tuple(configuration.not_applied(case.config, engine)),
        )
        wrote = wrote or not case.reads_only
    if wrote:
        place.restore(pristine)


@contextmanager
def _place(engine: str, server: str, fixtures: Path, folder: Path, key: str | None) -> Iterator[Place]:
    project = folder / "loading"
    project.mkdir()
    loading = partial(load, fixtures, project)
    with ExitStack() as stack:
        if engine == "sqlite":
            _CACHE.mkdir(exist_ok=True)
            yield stack.enter_context(sqlite_place(folder, loading, _CACHE / key if key else None))
        else:
            yield stack.enter_context(postgresql_place(server, fixtures, loading, key))


def _key(fixtures: Path, engine: str) -> str:
    """Name what the loaded fixtures depend on: themselves, this tool and the database plugin's part in it."""
    sources = [*fixtures.glob("*.sql"), *Path(__file__).parent.glob("*.py")]
    database = _REPOSITORY / "plugins" / "database"
    # On PostgreSQL the plugin only adds what it needs to be there.
    sources += database.rglob("*.py") if engine == "sqlite" else [database / "postgresql" / "preparing.py"]
    digest = hashlib.sha256(engine.encode())
    for source in sorted(sources):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _told(result: Result) -> str:
    case = result.case
    lines = [f"{case.id} {case.where} ({case.tier_guess}) {case.description}", f"  {case.method} {case.path}"]
    lines += [f"  {name}: {value}" for name, value in case.headers]
    if case.body:
        lines.append(f"  {case.body}")
    for difference in result.differences:
        lines += [
            f"  {difference.what}",
            f"    expected  {difference.expected}",
            f"    got       {difference.found}",
        ]
    if not any(difference.what == "body" for difference in result.differences):
        lines.append(f"  body {result.answer.body[:500].decode(errors='backslashreplace')}")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main(prog_name="python -m tests.conformance")

"""What came of a run: counts per tier, failures with their reasons, and what most of them have in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from tests.conformance.cases import TIERS, Case
from tests.conformance.comparison import Answer, Difference, shortened
from tests.conformance.explained import explanation
from tests.conformance.loading import Loaded, Refused

_ERROR_ID = re.compile(r":? error id \w+")
_STATEMENT = re.compile(r" \(Statement: .*", re.DOTALL)
_MISSING = ("42P01", "42704", "42883", "42703", "3F000")


class Result(msgspec.Struct, frozen=True):
    """A case, its answer, how that differs, and the overrides of its configuration that could not be made."""

    case: Case
    answer: Answer
    differences: tuple[Difference, ...]
    not_applied: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the answer is the expected one."""
        return not self.differences

    @property
    def cause(self) -> str:
        """What probably went wrong, in words that many failures share."""
        if self.not_applied:
            return f"no setting for {', '.join(self.not_applied)}"
        first, answer = self.differences[0], self.answer
        if first.what == "status":
            told = f" {answer.code}" if answer.code else ""
            return f"status {first.expected} expected, got {first.found}{told}"
        if answer.code and first.what == "body":
            return f"the body of an error, {answer.code}"
        return f"{first.what.split(' at ')[0]} of a {answer.status}"


def tiers(results: Iterable[Result]) -> dict[str, tuple[int, int]]:
    """Return for each tier how many cases passed, and how many assert anything."""
    asserting = [result for result in results if not result.case.setup_only]
    return {
        tier: (
            sum(result.passed for result in asserting if result.case.tier_guess == tier),
            sum(result.case.tier_guess == tier for result in asserting),
        )
        for tier in TIERS
    }


def failures(results: Iterable[Result]) -> list[Result]:
    """Return the failed ones that count."""
    return [result for result in results if not result.case.setup_only and not result.passed]


def table(results: Sequence[Result]) -> Iterator[str]:
    """Yield the counts as a table."""
    yield "| tier | passed | of |"
    yield "|---|---:|---:|"
    counts = tiers(results)
    for tier, (passed, of) in counts.items():
        yield f"| {tier} | {passed} | {of} |"
    yield f"| all | {sum(passed for passed, _ in counts.values())} | {sum(of for _, of in counts.values())} |"


def causes(results: Iterable[Result], most: int | None = None) -> Iterator[str]:
    """Yield the causes of failures with their counts per tier, a message and some cases; the commonest first."""
    by_cause: dict[str, list[Result]] = {}
    for result in failures(results):
        by_cause.setdefault(result.cause, []).append(result)
    for cause, failed in sorted(by_cause.items(), key=lambda entry: -len(entry[1]))[:most]:
        per_tier = Counter(result.case.tier_guess for result in failed)
        counts = ", ".join(f"{tier} {per_tier[tier]}" for tier in TIERS if per_tier[tier])
        yield f"{len(failed):4}  {cause}  ({counts})"
        messages = Counter(_kind(result.answer) for result in failed if result.answer.message)
        for message, count in messages.most_common(3):
            yield f"{count:10}  {message}"
        yield f"            for example {', '.join(str(result.case.id) for result in failed[:6])}"


def refusals(refused: Iterable[Refused]) -> Iterator[str]:
    """Yield the reasons why fixtures were refused, with their counts; the commonest first.

    What is not there, mostly because it was refused itself, comes last.
    """
    reasons = Counter(
        (one.sqlstate in _MISSING, f"{one.sqlstate} {shortened(_STATEMENT.sub('', one.reason), 100)}")
        for one in refused
    )
    for (_, reason), count in sorted(reasons.items(), key=lambda entry: (entry[0][0], -entry[1])):
        yield f"{count:4}  {reason}"


def page(engine: str, commit: str, loaded: Loaded, results: Sequence[Result], command: str) -> str:
    """Return the whole as Markdown."""
    lines = [
        f"<!-- Made by `{command}`. -->",
        "",
        f"# PostgREST's own cases on {'SQLite' if engine == 'sqlite' else 'PostgreSQL'}",
        "",
        (
            f"Requests of PostgREST's test suite (at its commit {commit[:12]}), sent to `kernel serve` with the "
            "suite's fixtures, and how the answers differ. The tiers are a heuristic: `core` should work on both "
            "engines, `emulated` needs emulation on SQLite, `pg` is PostgreSQL only."
        ),
        "",
        *table(results),
        "",
        (
            f"Of {loaded.statements} statements of the fixtures, {len(loaded.refused)} were refused; what needs "
            "them fails too."
        ),
        "",
    ]
    lost = Counter(name for result in results for name in result.not_applied)
    if lost:
        told = ", ".join(f"`{name}` ({count})" for name, count in sorted(lost.items()))
        lines += [f"Overrides of the configuration without a setting here (cases): {told}.", ""]
    lines += ["## Failing cases", "", *_explained(engine, results), *_failing(results)]
    lines += ["## Refused statements", "", *_refused(loaded.refused)]
    return "\n".join(lines)


def _explained(engine: str, results: Sequence[Result]) -> Iterator[str]:
    """Yield the reasons that are known, with their cases, and how many of `core` have none."""
    reasons: dict[str, list[str]] = {}
    unknown = []
    for result in failures(results):
        reason = explanation(engine, result.case.id)
        if reason is not None:
            reasons.setdefault(reason, []).append(str(result.case.id))
        elif result.case.tier_guess == "core":
            unknown.append(str(result.case.id))
    yield "| why | cases |"
    yield "|---|---|"
    for reason, found in reasons.items():
        yield f"| {_cell(reason, 200)} | {', '.join(found)} |"
    yield ""
    if unknown:
        yield f"Not explained, of `core`: {', '.join(unknown)}."
        yield ""


def _failing(results: Sequence[Result]) -> Iterator[str]:
    by_file: dict[str, list[Result]] = {}
    for result in failures(results):
        by_file.setdefault(result.case.where.partition(":")[0], []).append(result)
    for file, failed in sorted(by_file.items()):
        yield f"### {file}"
        yield ""
        yield "| case | group | line | tier | request | reason |"
        yield "|---:|---:|---:|---|---|---|"
        for result in sorted(failed, key=lambda result: (_number(result.case.group), result.case.seq)):
            case = result.case
            request = _cell(f"{case.method} {case.path}", 70)
            group = f"{_number(case.group)}.{case.seq}"
            yield f"| {case.id} | {group} | {case.line} | {case.tier_guess} | {request} | {_reason(result)} |"
        yield ""


def _reason(result: Result) -> str:
    """Say in a few words what was expected and what came."""
    first, answer = result.differences[0], result.answer
    told = f"{answer.code}: {answer.message}" if answer.code and answer.message else None
    if first.what == "status":
        reason = f"{first.expected} expected, got {first.found}"
    elif first.what == "body" and told:
        reason = f"body: expected {shortened(first.expected, 80)}, got"
    else:
        reason = f"{first.what}: expected {shortened(first.expected, 80)}, got {shortened(first.found, 80)}"
        told = None
    parts = [f"{reason} {told}" if told else reason]
    if result.not_applied:
        parts.append(f"no setting for {', '.join(result.not_applied)}")
    return _cell("; ".join(parts), 260)


def _refused(refused: Sequence[Refused]) -> Iterator[str]:
    """Yield the reasons with the places; what is not there, mostly because it was refused itself, comes last."""
    yield "| reason | statements | places |"
    yield "|---|---:|---|"
    places: dict[tuple[bool, str], list[str]] = {}
    for one in refused:
        key = one.sqlstate in _MISSING, _STATEMENT.sub("", one.reason)
        places.setdefault(key, []).append(f"{one.file}:{one.line}" if one.line else one.file)
    for (_, reason), found in sorted(places.items(), key=lambda entry: (entry[0][0], -len(entry[1]))):
        yield f"| {_cell(reason, 120)} | {len(found)} | {_cell(', '.join(found), 100)} |"
    yield ""


def _cell(text: str, length: int) -> str:
    return re.sub(r"([\\|`*_<\[\]])", r"\\\1", shortened(text, length))


def _kind(answer: Answer) -> str:
    """Return an error's message and details without what differs from case to case."""
    try:
        body = answer.json()
    except ValueError:
        return ""
    details = body.get("details")
    text = str(body.get("message", "")) + (f": {details}" if isinstance(details, str) else "")
    return shortened(_ERROR_ID.sub("", text), 110)


def _number(group: str) -> int:
    return int(group.rpartition("#")[2])

"""Why cases fail that will go on failing: by what they ask, a difference on purpose or a limit of an engine."""

from __future__ import annotations

from collections.abc import Mapping

_EVERYWHERE: Mapping[str, tuple[int, ...]] = {
    "CORS is the kernel's, one for all plugins: any header may be read, a preflight is answered 204": (63, 64, 71),
    "a parenthesis too many is refused; text after a complete selection is not ignored": (1510,),
    "HEAD tells the length that GET would have (RFC 9110, section 9.3.2)": (96, 1222),
    "the hint says how to open what is closed": (583, 584),
    "which rows a planner expects depends on how the condition is written": (1213, 1216),
    "the statement is written in another way": (716, 720, 752, 754),
    "the root is described, and not a function's answer": (145, 146),
    "the document describes no security": (147,),
    "aggregates are no media types": (320, 331, 332, 333, 334, 340, 344, 359, 678),
    "values are written and read as their type's, and not by a cast of the project's": (
        590, 595, 596, 597, 598, 943, 1111, 1112, 1113, 1114, 1115, 1117, 1122, 1592, 1596, 1598,
    ),
    "PostGIS is not there, and GeoJSON no media type": (766, 769, 771, 773, 774, 778),
    "the extension safeupdate is not there": (707, 708, 709),
    "the server words the error in another way": (1421,),
}  # fmt: skip

_ON_SQLITE: Mapping[str, tuple[int, ...]] = {
    "no triggers, and so no views that are written by them, on SQLite": (154, 579, 580, 587, 1389),
    "no rules on SQLite": (589,),
    "no materialized views on SQLite": (991,),
    "no foreign tables on SQLite": (1079,),
    "names that differ in case only are not kept apart on SQLite": (1610, 1620),
}


def explanation(engine: str, case: int) -> str | None:
    """Return why a case fails on an engine; None where that is not known."""
    reasons = {**_EVERYWHERE, **(_ON_SQLITE if engine == "sqlite" else {})}
    return next((reason for reason, cases in reasons.items() if case in cases), None)

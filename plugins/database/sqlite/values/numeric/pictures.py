"""``to_char`` of numbers: a picture of digits (``FM9G999D00``) filled in."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal

from plugins.database.sqlite.values.numeric.numbers import parse_numeric
from plugins.database.sqlite.values.refusals import unsupported

_PART = re.compile(r'"([^"]*)"|(FM|MI|PL|SG|PR|S|[09]|\.|D|,|G|L|\$)|(.)', re.IGNORECASE | re.DOTALL)


def to_char(value: str | None, picture: str | None) -> str | None:
    """Write a number by a picture; raises 0A000 for a part that is not known here."""
    if value is None or picture is None:
        return None
    parts = [match.groups() for match in _PART.finditer(picture)]
    words = [(word or "").upper() for _, word, _ in parts]
    for _, _, other in parts:
        if other is not None and other.isalpha():
            raise unsupported(f"{picture!r} as a picture of a number")
    fill = "FM" in words
    point = next((place for place, word in enumerate(words) if word in (".", "D")), len(words))
    whole_digits = sum(word in ("0", "9") for word in words[:point])
    fraction_digits = sum(word in ("0", "9") for word in words[point:])
    number = parse_numeric(value)
    rounded = abs(number).quantize(Decimal(1).scaleb(-fraction_digits), rounding=ROUND_HALF_UP)
    negative = number < 0 and rounded != 0
    whole, _, fraction = f"{rounded:f}".partition(".")
    if len(whole) > whole_digits and whole != "0":
        whole, fraction = "#" * whole_digits, "#" * fraction_digits
    first_zero = next(
        (place for place, word in enumerate(w for w in words[:point] if w in "09" and w) if word == "0"), None
    )
    shown = max(len(whole) if whole != "0" else 0, whole_digits - first_zero if first_zero is not None else 0)
    if whole == "0" and not shown and not fraction_digits:
        shown = 1
    digits = whole.rjust(whole_digits, "0")[-whole_digits:] if whole_digits else ""
    return _filled(parts, words, point, digits, shown, fraction, negative=negative, fill=fill)


def _filled(
    parts: list[tuple[str | None, ...]], words: list[str], point: int, digits: str, shown: int, fraction: str, *,
    negative: bool, fill: bool,
) -> str:  # fmt: skip
    before: list[str] = []
    seen = 0
    started = False
    for (quoted, _, other), word in zip(parts[:point], words[:point], strict=True):
        if word in ("0", "9"):
            started = len(digits) - seen <= shown
            before.append(digits[seen] if started else " ")
            seen += 1
        elif word in (",", "G"):
            before.append("," if started else " ")
        elif quoted is not None or other is not None:
            before.append(quoted or other or "")
        elif word in ("L", "$"):
            before.append("$" if word == "$" else " ")
    signed = {"S", "MI", "PL", "SG", "PR"} & set(words)
    text = "".join(before)
    if not signed:
        bare = text.lstrip(" ")
        text = " " * (len(text) - len(bare)) + ("-" if negative else " ") + bare
    elif "S" in words:
        bare = text.lstrip(" ")
        mark = "-" if negative else "+"
        text = (
            " " * (len(text) - len(bare)) + mark + bare
            if words.index("S") < point and words[0 if words[0] != "FM" else 1] == "S"
            else text
        )
    tail = "".join(_after(parts[point:], words[point:], fraction, fill=fill))
    result = text + tail
    if "MI" in words:
        mark = "-" if negative else ("" if fill else " ")
        result = mark + result if words[1 if words[0] == "FM" else 0] == "MI" else result + mark
    if "S" in words and words[-1] == "S":
        result += "-" if negative else "+"
    if "PR" in words:
        bare = result.lstrip(" ")
        pad = " " * (len(result) - len(bare))
        result = f"{pad}<{bare}>" if negative else f"{pad} {bare}" + ("" if fill else " ")
    return (
        result.replace(" ", "") if fill and not any(quoted or other for quoted, _, other in parts) else result
    )


def _after(parts: list[tuple[str | None, ...]], words: list[str], fraction: str, *, fill: bool) -> list[str]:
    kept = len(fraction)
    if fill:
        needed = max(
            (place for place, word in enumerate((w for w in words if w in ("0", "9")), 1) if word == "0"),
            default=0,
        )
        kept = max(len(fraction.rstrip("0")), needed)
    found: list[str] = []
    seen = 0
    for (quoted, _, other), word in zip(parts, words, strict=True):
        if word in (".", "D"):
            found.append(".")
        elif word in ("0", "9"):
            found.append(fraction[seen] if seen < kept else "")
            seen += 1
        elif quoted is not None or other is not None:
            found.append(quoted or other or "")
    return found

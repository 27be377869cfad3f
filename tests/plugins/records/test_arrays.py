"""Array literals."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.contracts.database import DatabaseError
from plugins.records.compiling.arrays import elements


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("{}", []),
        (" { } ", []),
        ("{a}", ["a"]),
        ("{a, b ,c d}", ["a", "b", "c d"]),
        ('{"a,b","","NULL"}', ["a,b", "", "NULL"]),
        ("{NULL,null,x}", [None, None, "x"]),
        (r'{"q\"\\",x\,y}', ['q"\\', "x,y"]),
    ],
)
def test_elements(literal: str, expected: list[str | None]) -> None:
    assert elements(literal) == expected


@pytest.mark.parametrize(
    "literal", ["", "a", "{", "}", "{a", "{a,}", "{,a}", '{"a}', "{{a}}", '{a"b"}', "{a,,b}", "{a, }"]
)
def test_malformed_literals_are_refused_in_postgresqls_words(literal: str) -> None:
    with pytest.raises(DatabaseError, match=re.escape(f'malformed array literal: "{literal}"')) as caught:
        elements(literal)
    assert caught.value.sqlstate == "22P02"


@given(st.lists(st.text() | st.none(), max_size=6))
def test_what_is_quoted_comes_back(values: list[str | None]) -> None:
    def quoted(value: str | None) -> str:
        return "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    assert elements("{" + ",".join(map(quoted, values)) + "}") == values

"""The conformance tool itself: it catches what differs, reads scripts for psql, and puts databases back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.conformance import configuration
from tests.conformance.cases import Case, Expected, read
from tests.conformance.comparison import Answer, compare
from tests.conformance.fixtures import statements
from tests.conformance.loading import Loaded, load
from tests.conformance.places import postgresql_place, sqlite_place
from tests.conformance.report import Result, causes, page, tiers
from tests.conformance.search_path import SearchPath

CASE: dict[str, Any] = {
    "id": 7, "spec_file": "spec/ItemSpec.hs", "line": 12, "group": "spec/ItemSpec.hs#3", "seq": 1, "config": {},
    "method": "GET", "path": "items?id=eq.1", "headers": [], "body": "", "tier_guess": "core",
    "expect": {"status": 200, "headers": []},
}  # fmt: skip
GOOD = Answer(200, {"content-type": ["application/json"], "content-length": ["18"]}, b'[{"id":1,"ok":true')


def case(**changes: Any) -> Case:
    return msgspec.convert({**CASE, **changes}, Case)


def differences(expect: dict[str, Any], answer: Answer) -> list[str]:
    return [difference.what for difference in compare(msgspec.convert(expect, Expected), answer)]


def answer(body: bytes = b"", status: int = 200, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): [value] for name, value in headers.items()}, body)


def test_an_answer_as_expected_has_no_differences() -> None:
    expect = {
        "status": 200,
        "json": [{"id": 1, "price": 1.5}],
        "headers": [
            {"name": "Content-Type", "equals": "application/json"},
            {"name": "Location", "absent": True},
        ],
    }
    assert differences(expect, answer(b'[{"price":1.50, "id":1}]', content_type="application/json")) == []


def test_a_wrong_status_is_a_difference_and_none_is_any() -> None:
    assert differences({"status": 201}, answer(status=200)) == ["status"]
    assert differences({"status": None}, answer(status=418)) == []


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        ([{"id": 1}], b'[{"id":2}]'),
        ([{"id": 1}], b'[{"id":1,"more":null}]'),
        ([{"id": 1}, {"id": 2}], b'[{"id":2},{"id":1}]'),
        ([True], b"[1]"),
        ([1], b"[true]"),
        (["1"], b"[1]"),
        (None, b"[]"),
        ([], b""),
        ([], b"[] []"),
        ([0.1], b"[0.10000000000000000001]"),
    ],
)
def test_a_wrong_body_is_a_difference(expected: Any, body: bytes) -> None:
    assert differences({"json": expected}, answer(body)) == ["body"]


def test_texts_and_bytes_are_compared_exactly() -> None:
    assert differences({"text": "a,b\n1,2"}, answer(b"a,b\n1,2")) == []
    assert differences({"text": "a,b\n1,2"}, answer(b"a,b\n1,2\n")) == ["body"]
    assert differences({"text": ""}, answer(b"{}")) == ["body"]
    assert differences({"base64": "AP8="}, answer(b"\x00\xff")) == []
    assert differences({"base64": "AP8="}, answer(b"\x00")) == ["body"]


def test_paths_into_a_body_are_followed() -> None:
    body = answer(b'{"a":[{"b":1}]}')
    fine = [
        {"path": ["a", 0, "b"], "equals": 1},
        {"path": ["a", 0], "present": True},
        {"path": ["x", "b"], "absent": True},
    ]
    wrong = [
        {"path": ["a", 0, "b"], "equals": 2},
        {"path": ["a", 1], "present": True},
        {"path": ["a"], "absent": True},
    ]
    assert differences({"json_paths": fine}, body) == []
    assert differences({"json_paths": wrong}, body) == ["body at a.0.b", "body at a.1", "body at a"]


@pytest.mark.parametrize(
    ("wanted", "fine", "wrong"),
    [
        ({"equals": "a"}, ["b", "a"], ["ab"]),
        ({"contains": "b"}, ["abc"], ["ac"]),
        ({"regex": "^a.c$"}, ["abc"], ["abcd"]),
        ({"absent": True}, [], [""]),
        ({"not_equals": "a"}, ["b"], ["a"]),
        ({"not_equals": "a"}, ["b"], []),
    ],
)
def test_a_wrong_header_is_a_difference(wanted: dict[str, Any], fine: list[str], wrong: list[str]) -> None:
    expect = {"headers": [{"name": "X-Thing", **wanted}]}
    assert differences(expect, Answer(200, {"x-thing": fine} if fine else {}, b"")) == []
    assert differences(expect, Answer(200, {"x-thing": wrong} if wrong else {}, b"")) == ["header X-Thing"]


def test_a_length_is_compared_with_the_body_that_came() -> None:
    expect = {"headers": [{"name": "Content-Length", "equals": "20"}]}
    assert differences(expect, answer(b"12345", content_length="5")) == []
    assert differences(expect, answer(b"12345", content_length="20")) == ["header Content-Length"]
    assert differences(expect, answer(b"12345")) == ["header Content-Length"]


def test_an_unknown_way_to_ask_for_a_header_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown way"):
        differences({"headers": [{"name": "X-Thing", "resembles": "a"}]}, answer())


def test_tokens_are_signed_when_they_are_sent() -> None:
    secret = b"0123456789abcdef0123456789abcdef"
    asking = case(headers=[["Authorization", 'Bearer {{jwt:{"role":"ann","exp":"@now-30"}}}']])
    ((name, value),) = asking.lines(secret, now=1000)
    assert name == "Authorization"
    claims = jwt.decode(value.removeprefix("Bearer "), OctKey.import_key(secret)).claims
    assert claims == {"role": "ann", "exp": 970}


def test_what_a_request_line_cannot_hold_is_escaped() -> None:
    assert case(path="/a b?x=eq.%20ü<").target == "/a%20b?x=eq.%20%C3%BC%3C"
    assert case().target == "/items?id=eq.1"


def test_groups_are_chosen_as_a_whole_and_keep_their_order(tmp_path: Path) -> None:
    cases = [
        {**CASE, "id": 1, "seq": 2, "path": "/second"},
        {**CASE, "id": 2, "seq": 1, "path": "/first"},
        {**CASE, "id": 3, "group": "spec/OtherSpec.hs#1", "path": "/third"},
    ]
    (tmp_path / "cases.json").write_text(json.dumps({"commit": "abc", "cases": cases}))
    suite = read(tmp_path / "cases.json")
    assert [[one.path for one in group] for _, group in suite.groups("/second")] == [["/first", "/second"]]
    assert [[one.id for one in group] for _, group in suite.groups("3")] == [[3]]
    assert len(list(suite.groups())) == 2


def test_overrides_become_settings_and_those_that_cannot_are_told() -> None:
    config = {"configDbSchemas": 'fromList [ "v1" , "a\\u062ab" ]', "configDbMaxRows": "Just 2"}
    assert (
        configuration.settings(config, "sqlite")["rest"] | {"schemas": ["v1", "aتb"], "max_rows": 2}
        == (configuration.settings(config, "sqlite")["rest"])
    )
    assert configuration.not_applied(config, "sqlite") == []
    assert configuration.not_applied({"configUnheardOf": "1", "configJWKS": "x"}, "sqlite") == [
        "configUnheardOf"
    ]
    assert configuration.not_applied({"configJwtSecret": "Nothing"}, "sqlite") == ["configJwtSecret"]


SCRIPT = """\
\\set ON_ERROR_STOP on
\\ir missing.sql
\\ir tables.sql
-- two lines
COPY "t" (id, note) FROM STDIN CSV DELIMITER '|';
1|it's
2|
\\.
COPY t FROM stdin;
3\ta\\tb
4\t\\N
\\.
begin; create role postgrest_test_anonymous; drop role other; commit;
grant usage on schema a, "b ""c" to postgrest_test_anonymous;
alter database :DBNAME set x.y = '1:2'; grant one to :"PGUSER";
"""


def test_scripts_for_psql_become_single_statements(tmp_path: Path) -> None:
    (tmp_path / "load.sql").write_text(SCRIPT)
    (tmp_path / "tables.sql").write_text("-- first\n\ncreate table t (id int, note text);")
    found = list(statements(tmp_path / "load.sql", {"DBNAME": "mine", "PGUSER": "me"}))
    assert [(one.file, one.line) for one in found[:3]] == [
        ("tables.sql", 3),
        ("load.sql", 5),
        ("load.sql", 5),
    ]
    assert [one.text for one in found] == [
        "create table t (id int, note text)",
        "insert into \"t\" (id, note) values ('1', 'it''s')",
        "insert into \"t\" (id, note) values ('2', null)",
        "insert into t values ('3', 'a\tb')",
        "insert into t values ('4', null)",
        "grant usage on schema a to anon",
        'grant usage on schema "b ""c" to anon',
        "alter database mine set x.y = '1:2'",
        'grant one to "me"',
    ]


def test_names_are_written_with_the_schema_that_the_path_finds_them_in() -> None:
    path = SearchPath()
    path.qualified("create table kept (id int)")
    assert path.follow("set search_path = shop, public, pg_catalog")
    written = [
        path.qualified(text)
        for text in [
            "create type mood as enum ('a')",
            "create table items (id int, m mood, k int references kept)",
            "create function of(items) returns items language sql as $$ select 1 from items $$",
            "create view v as select of(i) from elsewhere.items i, kept, others",
            "comment on column items.id is 'items'",
        ]
    ]
    assert written == [
        "create type \"shop\".mood as enum ('a')",
        'create table "shop".items (id int, m "shop".mood, k int references "public".kept)',
        'create function "shop".of("shop".items) returns "shop".items language sql as $$select 1 from "shop".items$$',
        'create view "shop".v as select "shop".of(i) from elsewhere.items i, "public".kept, others',
        "comment on column \"shop\".items.id is 'items'",
    ]


def test_what_was_made_with_its_schema_is_found_by_the_path_as_well() -> None:
    path = SearchPath()
    path.qualified("create table shop.items (id int)")
    path.qualified("create function shop.total() returns int language sql as 'select 1'")
    path.follow("set search_path = shop")
    assert path.qualified("insert into items select total()") == (
        'insert into "shop".items select "shop".total()'
    )


def test_a_refused_statement_is_told_and_stops_nothing(tmp_path: Path) -> None:
    fixtures = tmp_path / "fixtures"
    fixtures.mkdir()
    texts = ["create table a (id int primary key)", "insert into a values (1)", "insert into a values (1)"]
    texts += ["create table b (x nonsense)", *(f"insert into a values ({number})" for number in range(2, 9))]
    (fixtures / "load.sql").write_text(";\n".join(texts) + ";")
    (tmp_path / "project").mkdir()
    loaded = load(fixtures, tmp_path / "project", f"sqlite:///{tmp_path}/x.db", {})
    assert loaded.statements == len(texts)
    assert [(one.line, one.sqlstate) for one in loaded.refused] == [(3, "23505"), (4, "42704")]
    with sqlite_place(tmp_path, lambda *_: Loaded(0, ()), None):
        import apsw

        assert apsw.Connection(f"{tmp_path}/x.db").execute("select count(*) from a").fetchall() == [(8,)]


def test_a_sqlite_file_is_put_back(tmp_path: Path) -> None:
    import apsw

    with sqlite_place(tmp_path, lambda *_: Loaded(0, ()), None) as place:
        other = apsw.Connection(place.url.removeprefix("sqlite:///"))
        other.execute("create table t (id integer); insert into t values (1)")
        before = place.state()
        other.execute("insert into t values (2)")
        after = place.state()
        other.execute("delete from t")
        place.restore(after)
        assert other.execute("select id from t").fetchall() == [(1,), (2,)]
        place.restore(before)
        assert other.execute("select id from t").fetchall() == [(1,)]


def test_a_postgresql_database_is_put_back(postgresql_server: str, tmp_path: Path) -> None:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(postgresql_server)
    server = f"postgresql://{parts['user']}@{parts['host']}:{parts.get('port', 5432)}/{parts['dbname']}"
    (tmp_path / "load.sql").write_text("")
    with (
        postgresql_place(server, tmp_path, _with_tables, None) as place,
        psycopg.connect(place.url, autocommit=True) as other,
    ):
        before = place.state()
        other.execute("insert into t (note) values ('b'); delete from u")
        after = place.state()
        other.execute("update t set note = 'c'; insert into t (note) values ('d')")
        place.restore(after)
        assert other.execute("select id, note from t order by id").fetchall() == [(1, "a"), (2, "b")]
        place.restore(before)
        assert other.execute("select id, note from t").fetchall() == [(1, "a")]
        assert other.execute("select t from u").fetchall() == [(1,)]
        assert other.execute("insert into t (note) values ('e') returning id").fetchall() == [(2,)]


def _with_tables(url: str, _: object) -> Loaded:
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute(
            "create table t (id serial primary key, note text, upper text generated always as (note) stored);"
            "create table u (t int references t); insert into t (note) values ('a'); insert into u values (1)"
        )
    return Loaded(0, ())


def test_only_what_asserts_is_counted_and_failures_are_told_with_their_cause() -> None:
    expect = msgspec.convert({"status": 201}, Expected)
    refused = Answer(404, {}, b'{"code":"PGRST205","message":"no | such"}')
    results = [
        Result(case(id=number, setup_only=setup), given, tuple(compare(expect, given)))
        for number, setup, given in [(1, False, refused), (2, True, refused), (3, False, answer(status=201))]
    ]
    assert tiers(results) == {"core": (1, 2), "emulated": (0, 0), "pg": (0, 0)}
    assert next(causes(results)).split() == [
        "1", "status", "201", "expected,", "got", "404", "PGRST205", "(core", "1)"
    ]  # fmt: skip
    written = page("sqlite", "abc", Loaded(3, ()), results, "it")
    assert "| core | 1 | 2 |" in written
    assert "| 1 | 3.1 | 12 | core | GET items?id=eq.1 | 201 expected, got 404 PGRST205: no" in written
    assert "no \\| such" in written

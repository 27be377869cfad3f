"""SQL that a client puts where names and values belong stays a name or a value, on both engines."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.contracts.database import Database

CANARY = "c4n4ry"
SETUP = f"""
create schema if not exists private;
create table if not exists private.secrets (id integer primary key, word text not null);
delete from private.secrets;
insert into private.secrets values (1, '{CANARY}');
"""

PAYLOADS = [
    "'",
    '"',
    "`",
    "\\",
    "' or '1'='1",
    "' or 1=1 --",
    '" or ""="',
    "1; drop table items",
    "1'; drop table items; --",
    '"; drop table items; --',
    "1) union select word from private.secrets --",
    "x' union select 1, word from private.secrets --",
    'x") union select word from "private.secrets" --',
    "(select word from private.secrets)",
    "id=(select word from private.secrets)",
    "1/**/union/**/select/**/word/**/from/**/private.secrets",
    "';select pg_sleep(9);--",
    "'||(select word from private.secrets)||'",
    "$1",
    ":v0",
    ":limit",
    "?1",
    "{}",
    "%(x)s",
    "{0}",
    "$$; drop table items; $$",
    "E'\\'; drop table items; --",
    "\u02bc; drop table items; --",
    "\uff07 or 1=1",
    "a\u0000b",
    "integer); drop table items; --",
    "integer from private.secrets",
    "text, (select word from private.secrets) as x",
    "load_extension('x')",
    "pg_read_file('/etc/passwd')",
    "attach database 'x' as y",
    "pragma writable_schema=1",
    "query_to_xml('select * from private.secrets', true, true, '')",
    "current_setting('is_superuser')",
    "lo_import('/etc/passwd')",
    "copy items to program 'id'",
    ".each",
    '".given"',
    "rowid",
    "ctid",
    "xmin",
    "sqlite_master",
    "pg_authid",
    "*",
    "items.*",
    "-- ",
    "/*",
]

LETTERS = "'\"`\\();,.:$?{}%*-/|=<>[]#@&! \n\tabselctuniofrmwhd01\u00e9\u4e2d"

PLACES = {
    "table": "{}",
    "column": "items?select={}",
    "alias": "items?select={}:id",
    "quoted column": 'items?select="{}"',
    "quoted alias": 'items?select="{}":id',
    "cast": "items?select=id::{}",
    "path": "items?select=meta->{}",
    "text path": "items?select=meta->>{}",
    "quoted path": 'items?select=x:meta->"{}"',
    "quoted text path": 'items?select=x:meta->>"{}"',
    "filtered column": "items?{}=eq.1",
    "filtered path": "items?meta->>{}=eq.1",
    "quoted filtered column": 'items?"{}"=eq.1',
    "quoted filtered path": 'items?meta->>"{}"=eq.1',
    "operator": "items?id={}.1",
    "number": "items?id=eq.{}",
    "text": "items?name=eq.{}",
    "pattern": "items?name=ilike.*{}*",
    "moment": "items?created=gt.{}",
    "boolean": "items?done=is.{}",
    "json": "items?meta=eq.{}",
    "list": "items?name=in.({})",
    "quoted list": 'items?name=in.("{}")',
    "array": "items?name=eq(any).{{{}}}",
    "tree": "items?or=(id.eq.{},name.eq.x)",
    "order": "items?order={}",
    "quoted order": 'items?order="{}"',
    "ordered path": 'items?order=meta->>"{}"',
    "direction": "items?order=id.{}",
    "limit": "items?limit={}",
    "offset": "items?offset={}",
    "conflict": "items?on_conflict={}",
    "columns": "items?columns={}",
    "quoted columns": 'items?columns="{}"',
    "quoted conflict": 'items?on_conflict="{}"',
}


@pytest.fixture(scope="module")
def guarded(rest_kernel: Any) -> Any:
    """A kernel with a table that nobody may reach."""
    with rest_kernel.services[Database].schema_transaction() as transaction:
        transaction.script(SETUP)
    return rest_kernel


@pytest.mark.parametrize("place", PLACES)
def test_payloads_in_the_query_reach_nothing_and_change_nothing(guarded: Any, api: Any, place: str) -> None:
    before = contents(api)
    for payload in PAYLOADS:
        path = PLACES[place].format(quote(payload, safe=""))
        for reply in (api.get(path), api.patch(path, json={"done": True}), api.post(path, json={})):
            check(reply, f"{place}: {payload}")
        restore(api, before)
    assert tables(api) == tables_expected(api)


@pytest.mark.parametrize(
    "header", ["prefer", "range", "accept", "accept-profile", "content-profile", "content-type"]
)
def test_payloads_in_headers_reach_nothing(guarded: Any, api: Any, header: str) -> None:
    for payload in PAYLOADS:
        if payload.isascii() and payload.isprintable():
            check(api.get("items", headers={header: payload}), f"{header}: {payload}")
            check(api.post("items", json={"name": "x"}, headers={header: payload}), f"{header}: {payload}")
    assert tables(api) == tables_expected(api)


def test_an_alias_is_a_members_name_whatever_it_holds(guarded: Any, api: Any) -> None:
    for payload in PAYLOADS:
        if "\u0000" not in payload and '"' not in payload and "\\" not in payload:
            path = f"items?select={quote(chr(34) + payload + chr(34), safe='')}:id&id=eq.1"
            assert api.rows(path) == [{payload: 1}]


def test_payloads_in_bodies_are_values(guarded: Any, api: Any) -> None:
    for payload in PAYLOADS:
        reply = api.post(
            "items?select=name", json={"name": payload}, headers={"prefer": "return=representation"}
        )
        if "\u0000" in payload:
            assert reply.expect(400)
        else:
            assert reply.expect(201).json() == [{"name": payload}]
        check(api.post("items", json={payload: 1, "name": "x"}), f"member {payload}")
        check(api.post("items", json={"name": "x", "meta": {payload: payload}}), f"in JSON {payload}")
    assert tables(api) == tables_expected(api)


@pytest.mark.parametrize("place", PLACES)
def test_random_text_is_never_more_than_a_name_or_a_value(guarded: Any, api: Any, place: str) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(text=st.text(alphabet=st.sampled_from(LETTERS), max_size=40))
    def run(text: str) -> None:
        check(api.get(PLACES[place].format(quote(text, safe=""))), f"{place}: {text!r}")

    run()
    assert tables(api) == tables_expected(api)


def check(reply: Any, what: str) -> None:
    """Fail where an answer is a crash, or tells what it must not."""
    assert reply.status < 500, f"{what}: {reply.status} {reply.text}"
    assert CANARY not in reply.text, what
    assert "root:" not in reply.text, what


def contents(api: Any) -> Any:
    """Return the rows that a write might have changed."""
    return api.database.query("select id, name, done from items order by id")


def restore(api: Any, rows: Any) -> None:
    """Take back what a write has done that it was free to do."""
    if contents(api) == rows:
        return
    with api.database.transaction() as transaction:
        transaction.execute("delete from items where id > 4")
        for id_, name, done in rows:
            transaction.execute(
                "update items set name = :name, done = :done where id = :id",
                {"id": id_, "name": name, "done": done},
            )
    assert contents(api) == rows


def tables(api: Any) -> Any:
    """Return the names of all tables, and the secret, straight from the database."""
    names = sorted(f"{schema}.{name}" for schema, name in api.database.catalogue.tables if schema != "kernel")
    return names, api.database.query("select word from private.secrets")


def tables_expected(api: Any) -> Any:
    """Return what they are if nothing has happened."""
    names = ["cheap", "clients", "items", "notes", "odd \"table'", "pairs"]
    return sorted(["private.secrets", *(f"public.{name}" for name in names)]), [(CANARY,)]

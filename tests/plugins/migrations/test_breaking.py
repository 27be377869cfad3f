"""Which changes of a catalogue break clients, and how two catalogues differ."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from kernel.contracts.catalogue import Catalogue, Column, ForeignKey, Grant, Index, Policy, Role, Table
from plugins.migrations.breaking import breaking, is_wider
from plugins.migrations.differences import differences

TABLE = Table(
    "public",
    "t",
    "table",
    {"id": Column("id", "integer", nullable=False), "n": Column("n", "integer", default="1")},
    primary_key=("id",),
    indexes=(Index("t_pkey", ("id",), unique=True),),
)


def catalogue(*tables: Table, **fields: Any) -> Catalogue:
    return Catalogue(0, MappingProxyType({(table.schema, table.name): table for table in tables}), **fields)


def with_table(**fields: Any) -> Catalogue:
    return catalogue(msgspec.structs.replace(TABLE, **fields))


def with_column(**fields: Any) -> Catalogue:
    return with_table(columns={**TABLE.columns, "n": msgspec.structs.replace(TABLE.columns["n"], **fields)})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("smallint", "integer"),
        ("integer", "bigint"),
        ("bigint", "numeric"),
        ("character varying(5)", "character varying(6)"),
        ("character varying(5)", "character varying"),
        ("character varying(5)", "text"),
        ("numeric(5,2)", "numeric(7,3)"),
        ("numeric(5,2)", "numeric"),
        ("timestamp(3) with time zone", "timestamp with time zone"),
        ("text[]", "text[]"),
    ],
)
def test_a_type_that_holds_all_the_same_values_is_wider(before: str, after: str) -> None:
    assert is_wider(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("integer", "smallint"),
        ("text", "integer"),
        ("text", "character varying(5)"),
        ("character varying(6)", "character varying(5)"),
        ("character varying", "character varying(5)"),
        ("numeric(5,2)", "numeric(5,3)"),
        ("numeric", "numeric(5,2)"),
        ("bigint", "numeric(5,0)"),
        ("double precision", "real"),
        ("integer", "integer[]"),
        ("timestamp with time zone", "timestamp without time zone"),
        ("character(3)", "character(5)"),
    ],
)
def test_a_type_that_does_not_is_not(before: str, after: str) -> None:
    assert not is_wider(before, after)


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        (with_column(), with_column(nullable=False), "takes null no longer"),
        (with_column(nullable=False), with_column(nullable=False, default=None), "has to be given now"),
        (with_column(), with_column(generated=True), "can no longer be written"),
        (with_table(grants=(Grant("anon", "select"),)), with_table(), "the role anon may no longer select"),
        (
            with_table(grants=(Grant("anon", "select"),)),
            with_table(grants=(Grant("anon", "select", "id"),)),
            "the role anon may no longer select",
        ),
        (
            with_table(grants=(Grant("anon", "update", "id"),)),
            with_table(grants=(Grant("anon", "update", "n"),)),
            "the role anon may no longer update its column id",
        ),
        (with_table(), with_table(row_security=True), "row security is on now"),
        (
            with_table(row_security=True, policies=(Policy("p", using="true"),)),
            with_table(row_security=True, policies=(Policy("p", using="id = 1"),)),
            "the policy p is gone or says something else",
        ),
        (
            with_table(row_security=True),
            with_table(row_security=True, policies=(Policy("r", permissive=False),)),
            "the policy r restricts",
        ),
        (
            catalogue(usage={"public": frozenset({"anon"})}),
            catalogue(usage={"public": frozenset[str]()}),
            "the role anon may no longer use the schema public",
        ),
    ],
)
def test_less_than_before_is_breaking(before: Catalogue, after: Catalogue, what: str) -> None:
    (found,) = breaking(before, after)

    assert found.what.startswith(what)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (with_column(nullable=False), with_column()),
        (with_column(generated=True), with_column()),
        (with_table(grants=(Grant("anon", "select", "id"),)), with_table(grants=(Grant("anon", "select"),))),
        (with_table(grants=(Grant("anon", "select"),)), with_table(grants=(Grant("public", "select"),))),
        (with_table(row_security=True, policies=(Policy("p"),)), with_table()),
        (
            with_table(row_security=True, policies=(Policy("p", using="true"),)),
            with_table(
                row_security=True, policies=(Policy("renamed", using="true"), Policy("more", using="false"))
            ),
        ),
        (catalogue(), catalogue(TABLE)),
    ],
)
def test_more_than_before_is_not_breaking(before: Catalogue, after: Catalogue) -> None:
    assert breaking(before, after) == []


KEY = ForeignKey("t_n_fkey", ("n",), "public", "u", ("id",))


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (catalogue(), "public.t: is missing"),
        (catalogue(TABLE, msgspec.structs.replace(TABLE, name="u")), "public.u: is there, but should not be"),
        (with_table(columns={"id": TABLE.columns["id"]}), "public.t, column n: is missing"),
        (with_column(type="bigint"), "public.t, column n: type should be integer, not bigint"),
        (with_column(default=None), "public.t, column n: default should be 1, not none"),
        (with_table(primary_key=()), "public.t: primary key should be (id), not ()"),
        (with_table(indexes=()), "public.t: indexes: t_pkey is missing"),
        (with_table(foreign_keys=(KEY,)), "public.t: foreign keys: t_n_fkey is there, but should not be"),
        (
            with_table(columns={name: TABLE.columns[name] for name in ("n", "id")}),
            "public.t: its columns should be in the order id, n",
        ),
        (with_table(row_security=True), "public.t: row security should be no, not yes"),
        (
            with_table(indexes=(Index("t_pkey", ("n",), unique=True),)),
            "public.t: indexes: t_pkey should be (columns (id), unique yes, partial no), not (columns (n), ...",
        ),
        (catalogue(TABLE, schemas=frozenset({"public", "s"})), "schemas: s is there, but should not be"),
    ],
)
def test_a_difference_is_named_with_its_place(found: Catalogue, told: str) -> None:
    (difference,) = differences(catalogue(TABLE), found)

    start, dots, _ = told.partition("...")
    assert str(difference).startswith(start) if dots else str(difference) == told


def test_the_kernels_own_tables_the_version_and_roles_do_not_count() -> None:
    own = msgspec.structs.replace(TABLE, schema="kernel")

    found = msgspec.structs.replace(catalogue(TABLE, own), version=7, roles={"editor": Role("editor")})

    assert differences(catalogue(TABLE), found) == []
    assert breaking(catalogue(own), catalogue()) == []

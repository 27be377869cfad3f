"""Relationships: what foreign keys, views and junctions relate, and what an embed's names mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kernel.contracts.catalogue import Argument, Catalogue, Column, ForeignKey, Function, Index, Origin, Table
from kernel.contracts.records import AmbiguousRelationship, NoRelationship
from kernel.contracts.relationships import Junction, Relationship, Side
from plugins.records.relationships import Relationships


def reference(name: str, columns: str, target: str, to: str = "id") -> ForeignKey:
    schema, _, table = target.rpartition(".")
    return ForeignKey(name, tuple(columns.split()), schema or "public", table, tuple(to.split()))


def table(
    name: str, columns: str, *keys: ForeignKey, key: str = "id", unique: str = "", schema: str = "public"
) -> Table:
    indexes = (Index("unique", tuple(unique.split()), unique=True),) if unique else ()
    return Table(
        schema,
        name,
        "table",
        {column: Column(column, "integer") for column in columns.split()},
        tuple(key.split()),
        keys,
        indexes,
    )


def view(
    name: str, base: str, columns: Mapping[str, str] | str, *, key: str = "", schema: str = "public"
) -> Table:
    """A view that shows columns of a table, under the names that the mapping has for them."""
    base_schema, _, base_name = base.rpartition(".")
    shown = columns if isinstance(columns, Mapping) else {column: column for column in columns.split()}
    origins = {name: Origin(base_schema or "public", base_name, column) for name, column in shown.items()}
    columns_ = {column: Column(column, "integer") for column in shown}
    return Table(schema, name, "view", columns_, tuple(key.split()), origins=origins)


def relationships(*tables: Table, functions: tuple[Function, ...] = ()) -> Relationships:
    by_name: dict[tuple[str, str], tuple[Function, ...]] = {}
    for one in functions:
        by_name[one.schema, one.name] = (*by_name.get((one.schema, one.name), ()), one)
    return Relationships(
        Catalogue(1, {(table.schema, table.name): table for table in tables}, functions=by_name)
    )


def function(name: str, row: str, returns: str, schema: str = "public", **more: Any) -> Function:
    return Function(schema, name, (Argument(None, row),), returns, **more)


CLIENTS = table("clients", "id name")
PROJECTS = table("projects", "id client_id", reference("projects_client_id_fkey", "client_id", "clients"))
TO_CLIENT = Side("projects_client_id_fkey", ("client_id",), ("id",))
TO_PROJECTS = Side("projects_client_id_fkey", ("id",), ("client_id",))


@pytest.mark.parametrize(
    ("relation", "hint"),
    [
        ("clients", None),
        ("projects_client_id_fkey", None),
        ("client_id", None),
        ("clients", "projects_client_id_fkey"),
        ("clients", "client_id"),
        ("clients", "id"),
    ],
)
def test_a_foreign_key_is_found_by_target_by_its_name_and_by_its_column(
    relation: str, hint: str | None
) -> None:
    found = relationships(CLIENTS, PROJECTS).find(PROJECTS, relation, hint)
    assert found == Relationship("public", "projects", "public", "clients", "many-to-one", TO_CLIENT)
    assert found.to_one


@pytest.mark.parametrize(
    ("relation", "hint"),
    [
        ("projects", None),
        ("projects_client_id_fkey", None),
        ("id", None),
        ("projects", "projects_client_id_fkey"),
        ("projects", "client_id"),
        ("projects", "id"),
    ],
)
def test_a_foreign_key_is_found_from_the_other_end(relation: str, hint: str | None) -> None:
    found = relationships(CLIENTS, PROJECTS).find(CLIENTS, relation, hint)
    assert found == Relationship("public", "clients", "public", "projects", "one-to-many", TO_PROJECTS)
    assert not found.to_one


@pytest.mark.parametrize(
    ("origin", "relation", "hint"),
    [
        (PROJECTS, "client", None),
        (PROJECTS, "name", None),
        (PROJECTS, "clients", "name"),
        (PROJECTS, "clients", "clients"),
        (PROJECTS, "client_id", "projects_client_id_fkey"),
        (PROJECTS, "projects", None),
        (CLIENTS, "client_id", None),
    ],
)
def test_other_names_find_nothing(origin: Table, relation: str, hint: str | None) -> None:
    with pytest.raises(NoRelationship) as raised:
        relationships(CLIENTS, PROJECTS).find(origin, relation, hint)
    assert (raised.value.schema, raised.value.table) == ("public", origin.name)
    assert (raised.value.relation, raised.value.hint) == (relation, hint)


@pytest.mark.parametrize("unique", [{"key": "client_id"}, {"unique": "client_id"}])
def test_a_unique_foreign_key_is_one_to_one_both_ways(unique: dict[str, str]) -> None:
    details = table("details", "client_id", reference("fkey", "client_id", "clients"), **unique)  # type: ignore[arg-type]
    found = relationships(CLIENTS, details)
    there, back = found.find(details, "clients"), found.find(CLIENTS, "details")
    assert there.cardinality == back.cardinality == "one-to-one"
    assert there.side == Side("fkey", ("client_id",), ("id",))
    assert back.side == Side("fkey", ("id",), ("client_id",))
    assert there.to_one
    assert back.to_one


@pytest.mark.parametrize(
    "index",
    [
        Index("partial", ("client_id",), unique=True, partial=True),
        Index("wider", ("client_id", "id"), unique=True),
        Index("expression", (None,), unique=True),
        Index("plain", ("client_id",)),
    ],
)
def test_an_index_that_does_not_make_the_key_unique_leaves_it_many_to_one(index: Index) -> None:
    columns = {column: Column(column, "integer") for column in ("id", "client_id")}
    keys = (reference("fkey", "client_id", "clients"),)
    details = Table("public", "details", "table", columns, ("id",), keys, (index,))
    assert relationships(CLIENTS, details).find(details, "clients").cardinality == "many-to-one"


def test_the_order_of_a_unique_key_does_not_matter() -> None:
    pairs = table("pairs", "a b", key="a b")
    other = table("other", "x y", reference("fkey", "x y", "pairs", "a b"), key="y x")
    found = relationships(pairs, other).find(other, "pairs")
    assert found.cardinality == "one-to-one"
    assert found.side == Side("fkey", ("x", "y"), ("a", "b"))


def test_columns_of_a_composite_key_are_no_names_for_it() -> None:
    pairs = table("pairs", "a b", key="a b")
    other = table("other", "id x y", reference("fkey", "x y", "pairs", "a b"))
    found = relationships(pairs, other)
    assert found.find(other, "pairs", "fkey") == found.find(other, "fkey") == found.find(other, "pairs")
    for relation, hint in [("x", None), ("pairs", "x"), ("pairs", "a")]:
        with pytest.raises(NoRelationship):
            found.find(other, relation, hint)


TAGS = table("tags", "id")
TAGGED = table(
    "tagged",
    "project_id tag_id note_id",
    reference("tagged_project_fkey", "project_id", "projects"),
    reference("tagged_tag_fkey", "tag_id", "tags"),
    key="project_id tag_id",
)
ACROSS = Junction(
    "public",
    "tagged",
    Side("tagged_project_fkey", ("project_id",), ("id",)),
    Side("tagged_tag_fkey", ("tag_id",), ("id",)),
)


@pytest.mark.parametrize("hint", [None, "tagged"])
def test_a_junction_relates_many_to_many(hint: str | None) -> None:
    found = relationships(CLIENTS, PROJECTS, TAGS, TAGGED).find(PROJECTS, "tags", hint)
    assert found == Relationship("public", "projects", "public", "tags", "many-to-many", junction=ACROSS)
    back = relationships(CLIENTS, PROJECTS, TAGS, TAGGED).find(TAGS, "projects", hint)
    assert back.junction == Junction("public", "tagged", ACROSS.far, ACROSS.near)


def test_a_table_whose_foreign_keys_are_not_in_its_primary_key_is_no_junction() -> None:
    tagged = table("tagged", "id project_id tag_id", *TAGGED.foreign_keys)
    half = table("tagged", "project_id tag_id", *TAGGED.foreign_keys, key="project_id")
    for junction in (tagged, half):
        with pytest.raises(NoRelationship):
            relationships(PROJECTS, CLIENTS, TAGS, junction).find(PROJECTS, "tags")


@pytest.mark.parametrize("hint", ["tagged_project_fkey", "project_id", "tag_id", "id"])
def test_a_junction_is_not_found_by_its_columns_or_keys(hint: str) -> None:
    with pytest.raises(NoRelationship):
        relationships(CLIENTS, PROJECTS, TAGS, TAGGED).find(PROJECTS, "tags", hint)


def test_a_junction_of_another_schema_counts_where_that_is_named() -> None:
    hidden = table(
        "tagged", "project_id tag_id", *TAGGED.foreign_keys, key="project_id tag_id", schema="hidden"
    )
    found = relationships(CLIENTS, PROJECTS, TAGS, hidden)
    with pytest.raises(NoRelationship):
        found.find(PROJECTS, "tags")
    junction = found.find(PROJECTS, "tags", schemas=("hidden",)).junction
    assert junction is not None
    assert junction.schema == "hidden"


def test_targets_are_in_the_schema_of_the_origin() -> None:
    users = table("users", "id", schema="auth")
    profiles = table("profiles", "id user_id", reference("fkey", "user_id", "auth.users"))
    found = relationships(users, profiles)
    for origin, target in ((profiles, "users"), (users, "profiles")):
        assert [one.target for one in found.of(origin.schema, origin.name)] == [target]
        with pytest.raises(NoRelationship):
            found.find(origin, target)


def test_a_view_has_the_relationships_of_the_tables_it_shows() -> None:
    shown = view("shown", "projects", {"number": "id", "customer": "client_id"})
    customers = view("customers", "clients", {"customer_id": "id"})
    found = relationships(CLIENTS, PROJECTS, shown, customers)
    for origin, target, column, related in [
        (PROJECTS, "clients", "client_id", "id"),
        (PROJECTS, "customers", "client_id", "customer_id"),
        (shown, "clients", "customer", "id"),
        (shown, "customers", "customer", "customer_id"),
    ]:
        for hint in (None, "projects_client_id_fkey", column, related):
            one = found.find(origin, target, hint)
            assert one.cardinality == "many-to-one"
            assert one.side == Side("projects_client_id_fkey", (column,), (related,))
        target_table = {"clients": CLIENTS, "customers": customers}[target]
        back = found.find(target_table, origin.name)
        assert back.cardinality == "one-to-many"
        assert back.side == Side("projects_client_id_fkey", (related,), (column,))


def test_a_view_is_not_found_by_the_foreign_key_or_its_column() -> None:
    projects = table("projects", "id client_id", reference("fkey", "client_id", "hidden.clients"))
    clients = table("clients", "id", schema="hidden")
    customers = view("customers", "hidden.clients", "id")
    found = relationships(clients, projects, customers)
    assert found.find(projects, "customers", "fkey") == found.find(projects, "customers", "client_id")
    for relation in ("fkey", "client_id"):
        with pytest.raises(NoRelationship):
            found.find(projects, relation)


def test_the_table_is_meant_by_the_foreign_key_where_views_show_it_too() -> None:
    found = relationships(CLIENTS, PROJECTS, view("customers", "clients", "id"))
    assert found.find(PROJECTS, "client_id").target == "clients"


def test_a_view_that_lacks_a_column_of_the_key_has_no_relationship() -> None:
    pairs = table("pairs", "a b", key="a b")
    other = table("other", "id x y", reference("fkey", "x y", "pairs", "a b"))
    half = view("half", "other", "id x")
    with pytest.raises(NoRelationship):
        relationships(pairs, other, half).find(half, "pairs")


def test_a_column_that_a_view_shows_twice_gives_two_relationships() -> None:
    twice = view("twice", "projects", {"one": "client_id", "two": "client_id"})
    found = relationships(CLIENTS, PROJECTS, twice)
    with pytest.raises(AmbiguousRelationship) as raised:
        found.find(twice, "clients")
    assert [one.side and one.side.columns for one in raised.value.candidates] == [("one",), ("two",)]
    assert found.find(twice, "clients", "two").side == Side("projects_client_id_fkey", ("two",), ("id",))


def test_a_view_that_shows_a_whole_junction_is_one() -> None:
    shown = view("shown", "tagged", {"p": "project_id", "t": "tag_id"}, key="p t")
    found = relationships(CLIENTS, PROJECTS, TAGS, TAGGED, shown)
    with pytest.raises(AmbiguousRelationship) as raised:
        found.find(PROJECTS, "tags")
    junctions = [one.junction for one in raised.value.candidates]
    assert junctions == [
        Junction(
            "public",
            "shown",
            Side("tagged_project_fkey", ("p",), ("id",)),
            Side("tagged_tag_fkey", ("t",), ("id",)),
        ),
        ACROSS,
    ]
    assert found.find(PROJECTS, "tags", "shown").junction == junctions[0]


def test_candidates_come_by_cardinality_then_by_name() -> None:
    big = table("big", "id")
    sites = table("sites", "id main_id", reference("main", "main_id", "big"))
    jobs = table(
        "jobs", "site_id big_id", reference("a", "site_id", "sites"), reference("b", "big_id", "big"),
        key="site_id big_id",
    )  # fmt: skip
    more = view("anothers", "jobs", "site_id big_id", key="site_id big_id")
    found = relationships(jobs, more, sites, big)
    with pytest.raises(AmbiguousRelationship) as raised:
        found.find(sites, "big")
    assert (raised.value.table, raised.value.relation) == ("sites", "big")
    assert [
        (one.cardinality, one.junction and one.junction.table) for one in raised.value.candidates
    ] == [("many-to-one", None), ("many-to-many", "anothers"), ("many-to-many", "jobs")]  # fmt: skip


def test_several_keys_to_one_table_are_told_apart_by_the_hint() -> None:
    orders = table(
        "orders",
        "id billing shipping",
        reference("shipping_fkey", "shipping", "addresses"),
        reference("billing_fkey", "billing", "addresses"),
    )
    addresses = table("addresses", "id")
    found = relationships(orders, addresses)
    for origin, target in ((orders, "addresses"), (addresses, "orders")):
        for hint in (None, "id"):
            with pytest.raises(AmbiguousRelationship) as raised:
                found.find(origin, target, hint)
            constraints = [one.side and one.side.constraint for one in raised.value.candidates]
            assert constraints == ["billing_fkey", "shipping_fkey"]
        for hint in ("billing_fkey", "billing"):
            one = found.find(origin, target, hint)
            assert one.side is not None
            assert one.side.constraint == "billing_fkey"


def test_a_table_related_to_itself_is_named_for_the_many_and_by_its_column_for_the_one() -> None:
    people = table("people", "id parent", reference("fkey", "parent", "people"))
    found = relationships(people)
    children = Relationship(
        "public", "people", "public", "people", "one-to-many", Side("fkey", ("id",), ("parent",))
    )
    parent = Relationship(
        "public", "people", "public", "people", "many-to-one", Side("fkey", ("parent",), ("id",))
    )
    assert found.find(people, "people") == children
    assert found.find(people, "people", "parent") == children
    assert found.find(people, "parent") == parent
    for relation, hint in [
        ("fkey", None),
        ("id", None),
        ("people", "fkey"),
        ("people", "id"),
        ("parent", "id"),
    ]:
        with pytest.raises(NoRelationship):
            found.find(people, relation, hint)


def test_two_keys_to_the_same_table_are_told_apart_by_their_columns() -> None:
    people = table(
        "people", "id mother father",
        reference("m", "mother", "people"), reference("f", "father", "people"),
    )  # fmt: skip
    found = relationships(people)
    with pytest.raises(AmbiguousRelationship):
        found.find(people, "people")
    assert found.find(people, "people", "mother").side == Side("m", ("id",), ("mother",))
    assert found.find(people, "father").side == Side("f", ("father",), ("id",))


def test_a_view_of_a_table_related_to_itself() -> None:
    people = table("people", "id parent", reference("fkey", "parent", "people"))
    shown = view("shown", "people", "id parent")
    found = relationships(people, shown)
    assert found.find(shown, "shown").side == Side("fkey", ("id",), ("parent",))
    assert found.find(people, "people").side == Side("fkey", ("id",), ("parent",))
    with pytest.raises(AmbiguousRelationship) as raised:
        found.find(shown, "parent")
    assert [one.target for one in raised.value.candidates] == ["people", "shown"]
    with pytest.raises(AmbiguousRelationship) as raised:
        found.find(people, "shown")
    assert [one.cardinality for one in raised.value.candidates] == ["one-to-many", "many-to-one"]


@pytest.mark.parametrize(
    ("relation", "suggestion"),
    [("role", "roles"), ("Directors", None), ("directorz", "directors"), ("actors", None), ("noclose", None)],
)
def test_the_nearest_target_is_suggested(relation: str, suggestion: str | None) -> None:
    others = [
        table(name, "id film_id", reference(f"{name}_fkey", "film_id", "films"))
        for name in ("directors", "roles", "actors")
    ]
    films = table("films", "id")
    with pytest.raises(NoRelationship) as raised:
        relationships(films, *others).find(films, relation, "none")
    assert (raised.value.suggestion, raised.value.instead_of) == (suggestion, relation)


def test_a_related_table_is_suggested_for_one_that_is_not_related_to_anything() -> None:
    lone = table("client", "id")
    with pytest.raises(NoRelationship) as raised:
        relationships(CLIENTS, PROJECTS, lone).find(lone, "projects")
    assert (raised.value.suggestion, raised.value.instead_of) == ("clients", "client")


def test_references_to_what_the_catalogue_does_not_hold_relate_to_nothing() -> None:
    projects = table("projects", "id client_id", reference("fkey", "client_id", "extension.clients"))
    shown = view("shown", "extension.clients", "id")
    found = relationships(projects, shown)
    assert [one.target for one in found.of("public", "projects")] == ["shown"]
    assert found.of("public", "shown") == ()


@pytest.mark.parametrize(
    ("more", "to_one"),
    [({"returns_set": True}, False), ({"returns_set": True, "promises_one": True}, True), ({}, True)],
)
@pytest.mark.parametrize("hint", [None, "anything"])
def test_a_function_of_a_row_relates_it_to_the_rows_that_it_returns(
    more: dict[str, bool], to_one: bool, hint: str | None
) -> None:
    found = relationships(CLIENTS, TAGS, functions=(function("chosen", "clients", "tags", **more),))
    one = found.find(CLIENTS, "chosen", hint)
    assert one.function is not None
    assert (one.target, one.to_one, one.function.name) == ("tags", to_one, "chosen")
    assert one.side is one.junction is None
    with pytest.raises(NoRelationship):
        found.find(TAGS, "chosen")
    with pytest.raises(NoRelationship):
        found.find(CLIENTS, "tags")


def test_a_function_goes_before_the_foreign_keys_to_what_is_named_as_it_is() -> None:
    clients = function("clients", "projects", "clients", returns_set=True)
    found = relationships(CLIENTS, PROJECTS, functions=(clients,))
    assert found.find(PROJECTS, "clients").function == clients
    assert found.find(PROJECTS, "clients", "client_id").function == clients
    assert found.find(PROJECTS, "client_id").function is None


def test_functions_are_told_apart_by_the_row_that_they_take() -> None:
    functions = (function("related", "clients", "tags"), function("related", "projects", "clients"))
    found = relationships(CLIENTS, PROJECTS, TAGS, functions=functions)
    assert found.find(CLIENTS, "related").target == "tags"
    assert found.find(PROJECTS, "related").target == "clients"


def test_functions_are_in_the_schema_of_the_table_or_in_public() -> None:
    users = table("Users", "id", schema="auth")
    row = 'auth."Users"'
    for schema, is_found in (("auth", True), ("public", True), ("other", False)):
        found = relationships(users, functions=(function("all", row, row, schema, returns_set=True),))
        if is_found:
            assert found.find(users, "all").target == "Users"
        else:
            with pytest.raises(NoRelationship):
                found.find(users, "all")


def test_a_function_that_returns_one_value_is_a_column() -> None:
    functions = (
        function("label", "clients", "text"),
        function("labels", "clients", "text", returns_set=True),
        function("parts", "clients", "record", columns=(Argument("a", "text"), Argument("b", "text"))),
        function("chosen", "clients", "tags"),
        Function("public", "of_two", (Argument(None, "clients"), Argument(None, "integer")), "text"),
        function("of_a_number", "integer", "text"),
    )
    computed = relationships(CLIENTS, TAGS, functions=functions).computed
    assert computed.column(CLIENTS, "label") == functions[0]
    for name in ("labels", "parts", "chosen", "of_two", "of_a_number", "none"):
        assert computed.column(CLIENTS, name) is None
    assert computed.column(TAGS, "label") is None

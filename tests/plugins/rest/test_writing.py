"""Writes over /rest/v1: what they change, answer and refuse."""

from __future__ import annotations

from typing import Any

import pytest

REPRESENTATION = {"prefer": "return=representation"}
MERGE = {"prefer": "resolution=merge-duplicates,return=representation"}
IGNORE = {"prefer": "resolution=ignore-duplicates,return=representation"}
OBJECT = {"accept": "application/vnd.pgrst.object+json"}


def latest(api: Any) -> str:
    """Return the moment of the newest item, which is now for the engine: not 2024, as all others."""
    ((moment,),) = api.database.query("select max(created) from items")
    assert not moment.startswith("2024")
    return str(moment)


def test_insert_one(api: Any) -> None:
    reply = api.post("clients", json={"id": 3, "name": "Cid"}).expect(201)
    assert (reply.body, reply.header("content-type"), reply.header("content-range")) == (b"", None, "*/*")
    assert api.rows("clients?id=eq.3") == [{"id": 3, "name": "Cid"}]


def test_insert_many_answers_what_was_written(api: Any) -> None:
    rows = [{"name": f"n{i}", "price": i, "done": i % 2 == 0, "meta": {"i": [i]}} for i in range(300)]
    reply = api.post("items?select=name,price,done,meta", json=rows, headers=REPRESENTATION).expect(201)
    assert reply.json() == rows
    assert reply.header("preference-applied") == "return=representation"


def test_insert_counts(api: Any) -> None:
    reply = api.post(
        "clients", json=[{"id": 3, "name": "a"}, {"id": 4, "name": "b"}], headers={"prefer": "count=exact"}
    )
    assert reply.expect(201).header("content-range") == "*/2"


def test_defaults_fill_what_is_not_given(api: Any) -> None:
    (row,) = api.post("items?select=done,created,price", json={"name": "x"}, headers=REPRESENTATION).json()
    assert (row["done"], row["price"]) == (False, None)
    assert row["created"] == latest(api)


def test_an_explicit_null_is_not_a_default(api: Any) -> None:
    (row,) = api.post("items?select=done", json={"name": "x", "done": None}, headers=REPRESENTATION).json()
    assert row == {"done": None}


def test_an_empty_object_is_a_row_of_defaults(api: Any) -> None:
    assert api.post("notes", json={}, headers=REPRESENTATION).expect(201).json() == [
        {"body": None, "extra": None}
    ]
    assert len(api.post("notes", json=[{}, {}], headers=REPRESENTATION).json()) == 2


def test_no_rows_insert_nothing(api: Any) -> None:
    assert api.post("clients", json=[], headers=REPRESENTATION).expect(201).json() == []
    api.post("clients", json=[], headers={"prefer": "resolution=merge-duplicates"}).expect(200)


def test_columns_choose_what_is_written(api: Any) -> None:
    body = [{"id": 8, "name": "x", "nope": 1}, {"id": 9, "name": "y"}]
    api.post("items?columns=id,name", json=body).expect(201)
    assert api.ids("id=gt.7") == [8, 9]


def test_missing_members_are_null_or_with_a_preference_default(api: Any) -> None:
    body = [{"name": "x", "done": True}, {"name": "y"}, {"name": "z"}, {"name": "w", "done": None}]
    path = "items?columns=name,done&select=name,done"
    nulls = api.post(path, json=body, headers=REPRESENTATION).json()
    assert [row["done"] for row in nulls] == [True, None, None, None]
    headers = {"prefer": "return=representation,missing=default"}
    reply = api.post(path, json=body, headers=headers).expect(201)
    assert [row["done"] for row in reply.json()] == [True, False, False, None]
    assert reply.header("preference-applied") == "missing=default, return=representation"


def test_an_update_gives_defaults_to_columns_that_are_named_and_not_given(api: Any) -> None:
    path = "items?id=eq.1&columns=name,done,created,price&select=name,done,created,price"
    body = {"name": "x", "code": "not named"}
    headers = {"prefer": "return=representation,missing=default"}
    reply = api.patch(path, json=body, headers=headers).expect(200)
    assert reply.json() == [{"name": "x", "done": False, "created": latest(api), "price": None}]
    assert reply.header("preference-applied") == "missing=default, return=representation"
    (row,) = api.patch(path, json=body, headers=REPRESENTATION).json()
    assert row == {"name": "x", "done": None, "created": None, "price": None}


def test_an_update_leaves_columns_alone_that_are_neither_named_nor_given(api: Any) -> None:
    headers = {"prefer": "return=representation,missing=default"}
    (row,) = api.patch("items?id=eq.1", json={"name": "x"}, headers=headers).json()
    assert (row["name"], row["done"], row["code"]) == ("x", True, "A")


def test_missing_is_said_to_be_applied_where_it_can_be(api: Any) -> None:
    headers = {"prefer": "missing=default"}
    assert api.post("notes", json={}, headers=headers).header("preference-applied") == "missing=default"
    assert api.patch("notes", json={}, headers=headers).header("preference-applied") == "missing=default"
    for reply in (
        api.delete("notes", headers=headers),
        api.put("clients?id=eq.1", json={"id": 1, "name": "x"}, headers=headers),
        api.get("notes", headers=headers),
    ):
        assert reply.header("preference-applied") is None


def test_a_value_that_does_not_fit_is_refused_even_where_no_row_matches(api: Any) -> None:
    for body, code in (
        ({"price": "cheap"}, "22P02"),
        ({"name": "fine", "done": "perhaps"}, "22P02"),
        ({"price": 123456789012}, "22003"),
        ({"created": "2024-02-30"}, "22008"),
        ({"meta": {}, "client_id": [1]}, "22P02"),
    ):
        for headers in ({}, REPRESENTATION, OBJECT):
            error = api.patch("items?id=eq.99", json=body, headers=headers).expect(400).json()
            assert (error["code"], error["hint"]) == (code, None)
        assert api.post("items", json=[{**body, "name": "x"}]).expect(400).json()["code"] == code
    api.patch("items?id=eq.99", json={"price": "1.5", "done": "yes", "meta": "{"}).expect(204)
    api.patch("items?id=eq.99&columns=name", json={"name": "x", "price": "not written"}).expect(204)


def test_null_is_no_number_for_a_column_that_numbers_itself(api: Any) -> None:
    for method, path, body in (
        (api.post, "items", {"id": None, "name": "x"}),
        (api.post, "items", [{"id": 9, "name": "x"}, {"id": None, "name": "x"}]),
        (api.post, "items?columns=id,name", {"name": "x"}),
        (api.post, "clients", {"id": None, "name": "x"}),
        (api.patch, "items?id=eq.1", {"id": None}),
    ):
        error = method(path, json=body).expect(400).json()
        assert (error["code"], "not-null" in error["message"]) == ("23502", True)
    assert api.ids("") == [1, 2, 3, 4]
    headers = {"prefer": "missing=default"}
    api.post("items?columns=id,name", json={"name": "x"}, headers=headers).expect(201)


def test_a_limit_below_zero_is_refused_before_anything_is_written(api: Any) -> None:
    for reply in (
        api.post("clients?limit=-1", json={"id": 3, "name": "x"}),
        api.patch("clients?limit=-1", json={"name": "x"}),
        api.delete("pairs?limit=-1"),
    ):
        assert reply.expect(416).json()["code"] == "PGRST103"
    assert api.rows("clients?select=name&order=id") == [{"name": "Ann"}, {"name": "Bob"}]
    assert len(api.rows("pairs")) == 2


def test_numbers_keep_their_digits(api: Any) -> None:
    body = '[{"id":9,"name":"x","price":12345678.90,"meta":{"n":1.10,"big":123456789012345678901234567890}}]'
    reply = api.post("items?select=price,meta", body=body, headers=REPRESENTATION).expect(201)
    assert reply.text.replace(": ", ":").replace(", ", ",") == (
        '[{"price":12345678.90,"meta":{"n":1.10,"big":123456789012345678901234567890}}]'
    )


def test_names_that_need_quoting_are_written_too(api: Any) -> None:
    path = "/rest/v1/odd%20%22table'"
    row = {"id": 2, "sel ect": "p", 'a"b': "q", "it's": "r", "c\\d": "s"}
    assert api.client.post(path, json=row, headers=MERGE).expect(201).json() == [row]
    changed = {"sel ect": "1", 'a"b': "2", "it's": "3", "c\\d": "4"}
    reply = api.client.patch(path, query='"a\\"b"=eq.q&id=eq.2', json=changed, headers=REPRESENTATION)
    assert reply.expect(200).json() == [{"id": 2, **changed}]
    assert api.client.post(path, json={**row, 'a"b': "z"}, headers=MERGE).expect(200).json() == [
        {**row, 'a"b': "z"}
    ]


def test_headers_only_says_where_the_row_is(api: Any) -> None:
    headers = {"prefer": "return=headers-only"}
    assert (
        api.post("pairs", json={"a": 7, "b": "x&y"}, headers=headers).header("location")
        == "/pairs?a=eq.7&b=eq.x%26y"
    )
    assert (
        api.post("pairs", json=[{"a": 8, "b": "x"}, {"a": 9, "b": "x"}], headers=headers).header("location")
        is None
    )
    assert api.post("notes", json={"body": "x"}, headers=headers).expect(201).header("location") is None


def test_csv_and_forms_are_read(api: Any) -> None:
    api.post(
        "items", body="name,price,done\nx,1.5,true\ny,NULL,f", headers={"content-type": "text/csv"}
    ).expect(201)
    form = {"content-type": "application/x-www-form-urlencoded"}
    api.post("items", body="name=z&price=2", headers=form).expect(201)
    assert api.rows("items?select=name,price,done&id=gt.4&order=id") == [
        {"name": "x", "price": 1.5, "done": True},
        {"name": "y", "price": None, "done": False},
        {"name": "z", "price": 2, "done": False},
    ]


def test_one_object_or_nothing_is_written(api: Any) -> None:
    headers = {**REPRESENTATION, **OBJECT}
    assert api.post("clients", json={"id": 3, "name": "Cid"}, headers=headers).expect(201).json() == {
        "id": 3,
        "name": "Cid",
    }
    error = api.post("clients", json=[{"id": 4, "name": "a"}, {"id": 5, "name": "b"}], headers=OBJECT).expect(
        406
    )
    assert error.json()["details"] == "The result contains 2 rows"
    api.patch("clients", json={"name": "q"}, headers=headers).expect(406)
    api.delete("pairs?a=eq.1", headers=OBJECT).expect(406)
    assert len(api.rows("pairs")) == 2
    assert [row["name"] for row in api.rows("clients?order=id")] == ["Ann", "Bob", "Cid"]


def test_update(api: Any) -> None:
    reply = api.patch("items?id=in.(1,2)", json={"name": "new", "price": None}).expect(204)
    assert (reply.body, reply.header("content-range")) == (b"", "0-1/*")
    assert api.rows("items?select=id,name,price&id=lt.4&order=id") == [
        {"id": 1, "name": "new", "price": None},
        {"id": 2, "name": "new", "price": None},
        {"id": 3, "name": "cherry", "price": None},
    ]


def test_update_answers_the_new_rows(api: Any) -> None:
    reply = api.patch(
        "items?id=eq.1&select=id,m:meta->>k", json={"meta": {"k": "v"}}, headers=REPRESENTATION
    ).expect(200)
    assert (reply.json(), reply.header("content-range")) == ([{"id": 1, "m": "v"}], "0-0/*")
    assert (
        api.patch("items?id=eq.99", json={"name": "x"}, headers=REPRESENTATION).header("content-range")
        == "*/*"
    )


@pytest.mark.parametrize("body", [{}, []])
def test_an_empty_update_touches_nothing(api: Any, body: Any) -> None:
    assert api.patch("items", json=body, headers=REPRESENTATION).expect(200).json() == []


def test_an_update_ignores_limits_and_obeys_columns(api: Any) -> None:
    api.patch("items?columns=name&limit=1&offset=1", json={"name": "all", "nope": 1}).expect(204)
    assert {row["name"] for row in api.rows("items?select=name")} == {"all"}


def test_delete(api: Any) -> None:
    assert (
        api.delete("items?id=lt.3", headers={"prefer": "count=exact"}).expect(204).header("content-range")
        == "*/2"
    )
    reply = api.delete("items?id=eq.3&select=name", headers=REPRESENTATION).expect(200)
    assert reply.json() == [{"name": "cherry"}]
    assert api.ids("") == [4]


def test_filters_of_a_write_reach_into_json_and_lists(api: Any) -> None:
    api.delete("items?or=(meta->>t.eq.true,id.in.(4))").expect(204)
    assert api.ids("") == [2, 3]


def test_max_affected(api: Any) -> None:
    headers = {"prefer": "handling=strict, max-affected=1"}
    error = api.delete("items", headers=headers).expect(400).json()
    assert (error["code"], error["details"]) == ("PGRST124", "The query affects 4 rows")
    api.patch("items", json={"name": "x"}, headers=headers).expect(400)
    assert len(api.rows("items?name=neq.x")) == 4
    reply = api.delete("items?id=eq.1", headers=headers).expect(204)
    assert reply.header("preference-applied") == "handling=strict, max-affected=1"


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("clients", {"id": 1, "name": "x"}, 409, "23505"),
        ("clients", {"id": 5}, 400, "23502"),
        ("clients", {"id": "x", "name": "y"}, 400, "22P02"),
        ("clients", {"id": 2**40, "name": "y"}, 400, "22003"),
        ("clients", {"id": 5, "name": {"a": 1}, "nope": 1}, 400, "PGRST204"),
        ("clients?columns=nope", {"id": 5}, 400, "PGRST204"),
        ("items", {"name": "x", "client_id": 99}, 409, "23503"),
        ("items", {"name": "x", "created": "yesterdayish"}, 400, "22007"),
        ("nope", {"id": 1}, 404, "PGRST205"),
    ],
)
def test_refused_inserts_write_nothing(api: Any, path: str, body: Any, status: int, code: str) -> None:
    before = (api.rows("clients"), api.rows("items"))
    assert api.post(path, json=body).expect(status).json()["code"] == code
    assert (api.rows("clients"), api.rows("items")) == before


def test_a_bad_row_among_good_ones_writes_none(api: Any) -> None:
    api.post("clients", json=[{"id": 7, "name": "a"}, {"id": 1, "name": "b"}]).expect(409)
    assert len(api.rows("clients")) == 2


def test_a_violated_key_is_explained(api: Any) -> None:
    error = api.post("clients", json={"id": 1, "name": "x"}).json()
    assert error["message"] == 'duplicate key value violates unique constraint "clients_pkey"'
    assert error["details"] == "Key (id)=(1) already exists."


class TestUpserts:
    def test_merge_over_the_primary_key(self, api: Any) -> None:
        body = [{"id": 1, "name": "Anna"}, {"id": 3, "name": "Cid"}]
        reply = api.post("clients", json=body, headers=MERGE).expect(201)
        assert reply.json() == body
        assert reply.header("preference-applied") == "resolution=merge-duplicates, return=representation"

    def test_merge_of_old_rows_only_is_200(self, api: Any) -> None:
        api.post("clients", json=[{"id": 1, "name": "Anna"}], headers=MERGE).expect(200)

    def test_merge_leaves_other_columns_alone(self, api: Any) -> None:
        api.post("items", json={"id": 1, "name": "pear"}, headers=MERGE).expect(200)
        assert api.rows("items?select=name,code&id=eq.1") == [{"name": "pear", "code": "A"}]

    def test_merge_of_nothing_but_the_key_keeps_the_row(self, api: Any) -> None:
        assert len(api.post("pairs", json={"a": 1, "b": "x"}, headers=MERGE).expect(200).json()) == 1

    def test_ignore_returns_only_the_new(self, api: Any) -> None:
        body = [{"id": 1, "name": "Anna"}, {"id": 3, "name": "Cid"}]
        assert api.post("clients", json=body, headers=IGNORE).expect(201).json() == body[1:]
        assert api.rows("clients?id=eq.1") == [{"id": 1, "name": "Ann"}]

    def test_on_conflict_names_another_key(self, api: Any) -> None:
        reply = api.post(
            "items?on_conflict=code&select=id,name", json={"name": "fig", "code": "B"}, headers=MERGE
        )
        assert reply.expect(200).json() == [{"id": 2, "name": "fig"}]

    def test_on_conflict_must_be_unique_columns_that_exist(self, api: Any) -> None:
        body = {"id": 1, "name": "x"}
        assert (
            api.post("items?on_conflict=name", json=body, headers=MERGE).expect(400).json()["code"] == "42P10"
        )
        assert (
            api.post("items?on_conflict=nope", json=body, headers=MERGE).expect(400).json()["code"] == "42703"
        )

    def test_a_table_without_a_key_gets_a_plain_insert(self, api: Any) -> None:
        reply = api.post("notes", json={"body": "first"}, headers=MERGE).expect(201)
        assert reply.header("preference-applied") == "return=representation"
        assert len(api.rows("notes?body=eq.first")) == 2


class TestPut:
    def test_inserts_then_replaces(self, api: Any) -> None:
        for value, status in (("new", 201), ("newer", 200)):
            body = [{"a": 5, "b": "z", "value": value}]
            assert (
                api.put("pairs?a=eq.5&b=eq.z", json=body, headers=REPRESENTATION).expect(status).json()
                == body
            )

    def test_answers_204_without_a_representation(self, api: Any) -> None:
        api.put("clients?id=eq.9", json={"id": 9, "name": "x"}).expect(204)
        assert api.rows("clients?id=eq.9") == [{"id": 9, "name": "x"}]

    @pytest.mark.parametrize(
        "query", ["", "a=eq.5", "a=eq.5&b=neq.z", "a=eq.5&b=eq.z&value=eq.1", "or=(a.eq.5,b.eq.z)"]
    )
    def test_the_filters_must_be_the_key(self, api: Any, query: str) -> None:
        assert api.put(f"pairs?{query}", json={"a": 5, "b": "z"}).expect(405).json()["code"] == "PGRST105"

    def test_of_several_rows_the_first_is_put(self, api: Any) -> None:
        rows = [{"a": 5, "b": "z", "value": "v"}, {"a": 6, "b": "z", "value": "w"}]
        api.put("pairs?a=eq.5&b=eq.z", json=rows).expect(204)
        assert api.rows("pairs?a=gt.1") == rows[:1]

    @pytest.mark.parametrize(
        "body", [{"a": 6, "b": "z"}, {"a": 5}, [], [{"a": 6, "b": "z"}, {"a": 5, "b": "z"}]]
    )
    def test_the_body_must_have_the_key(self, api: Any, body: Any) -> None:
        assert api.put("pairs?a=eq.5&b=eq.z", json=body).expect(400).json()["code"] == "PGRST115"

    def test_the_key_is_not_taken_from_elsewhere(self, api: Any) -> None:
        """Null is no text ``null``, and of a repeated member the one that is checked is the one written."""
        for path, body in (
            ("pairs?a=eq.5&b=eq.null", '{"a": 5, "b": null}'),
            ("clients?id=eq.9", '{"id": 9, "name": "x", "id": 1}'),
        ):
            assert api.put(path, body=body).expect(400).json()["code"] == "PGRST115"
        api.put("clients?id=eq.9", body='{"id": 1, "name": "x", "id": 9}').expect(204)
        assert api.rows("clients?select=id,name&order=id") == [
            {"id": 1, "name": "Ann"},
            {"id": 2, "name": "Bob"},
            {"id": 9, "name": "x"},
        ]

    def test_takes_no_limit(self, api: Any) -> None:
        assert api.put("clients?id=eq.9&limit=1", json={"id": 9}).expect(400).json()["code"] == "PGRST114"


def test_a_view_is_written_through(api: Any) -> None:
    reply = api.post("cheap", json={"id": 50, "name": "new", "price": 1}, headers=REPRESENTATION)
    assert reply.expect(201).json() == [{"id": 50, "name": "new", "price": 1.00}]
    api.patch("cheap?id=eq.50", json={"price": 2}).expect(204)
    assert api.rows("items?select=id,price&id=eq.50") == [{"id": 50, "price": 2.00}]
    api.delete("cheap?id=eq.50").expect(204)
    assert api.ids("id=eq.50") == []


def test_what_a_write_answers_with_comes_in_the_order_that_is_asked_for(api: Any) -> None:
    representation = {"prefer": "return=representation"}

    def ids(method: str, path: str, **options: Any) -> list[int]:
        reply = api.client.request(
            method, f"/rest/v1/items?{path}&select=id", headers=representation, **options
        )
        return [row["id"] for row in reply.json()]

    for order, expected in (
        ("id.desc", [4, 3, 2, 1]),
        ("price.desc.nullslast", [2, 4, 1, 3]),
        ("price", [1, 4, 2, 3]),
        ("done.nullsfirst,created.desc", [3, 4, 2, 1]),
        ("meta->>t,id", [2, 1, 3, 4]),
    ):
        assert ids("PATCH", f"order={order}", json={"score": 1}) == expected, order
    rows = [{"name": name, "price": price} for name, price in (("a", 9), ("b", 100), ("c", 10.5))]
    created = api.post("items?select=name&order=price.desc", json=rows, headers=representation).json()
    assert [row["name"] for row in created] == ["b", "c", "a"]
    path = "items?select=id,clients(name)&order=clients(name).desc,id.desc&client_id=not.is.null"
    deleted = api.delete(path, headers=representation).expect(200).json()
    assert [row["id"] for row in deleted] == [4, 2, 1]


def test_bytes_are_sorted_as_bytes(api: Any) -> None:
    with api.database.schema_transaction() as transaction:
        transaction.script("create table blobs (b bytea primary key); grant all on blobs to service_role")
    rows = [{"b": f"\\x{byte:02x}00"} for byte in (0x80, 0x01, 0xFF, 0x7F)]
    created = api.post("blobs?order=b", json=rows, headers={"prefer": "return=representation"}).expect(201)
    assert [row["b"] for row in created.json()] == ["\\x0100", "\\x7f00", "\\x8000", "\\xff00"]
    with api.database.schema_transaction() as transaction:
        transaction.script("drop table blobs")

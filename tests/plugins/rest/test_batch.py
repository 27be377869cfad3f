"""Several requests in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kernel.contracts.queries import Insert, Select
from kernel.contracts.records import Records, Unsupported
from kernel.identity import Identity

RETURNING = {"prefer": "return=representation"}


def batch(api: Any, *operations: Any, **options: Any) -> Any:
    return api.client.post("/batch/v1", json=list(operations), **options)


def test_all_operations_happen_and_answer_in_their_order(api: Any) -> None:
    reply = batch(
        api,
        {"method": "POST", "path": "/rest/v1/clients", "body": {"id": 7, "name": "Gus"}},
        {"path": "/rest/v1/clients?id=eq.7&select=name"},
        {"method": "PATCH", "path": "/rest/v1/items?id=eq.1", "body": {"client_id": 7}, "headers": RETURNING},
        {"method": "DELETE", "path": "/rest/v1/items?id=eq.4"},
    ).expect(200)
    results = reply.json()["results"]
    assert [result["status"] for result in results] == [201, 200, 200, 204]
    assert (results[0]["body"], results[1]["body"]) == (None, [{"name": "Gus"}])
    assert results[2]["body"][0]["client_id"] == 7
    assert results[1]["headers"]["content-range"] == "0-0/*"
    assert api.ids("client_id=eq.7") == [1]
    assert api.ids("id=eq.4") == []


def test_later_operations_refer_to_what_earlier_ones_answered(api: Any) -> None:
    reply = batch(
        api,
        {
            "method": "POST",
            "path": "/rest/v1/items",
            "body": {"name": "made"},
            "headers": RETURNING,
            "name": "item",
        },
        {
            "method": "POST",
            "path": "/rest/v1/pairs",
            "body": [{"b": "p"}, {"b": "q"}],
            "set": {"a": "item.0.id"},
        },
        {"path": "/rest/v1/pairs?a=eq.${item.0.id}&select=b&order=b"},
        {"path": "/rest/v1/items?name=eq.${item.0.name}&select=id"},
    ).expect(200)
    first, _, pairs, again = (result["body"] for result in reply.json()["results"])
    assert pairs == [{"b": "p"}, {"b": "q"}]
    assert again == [{"id": first[0]["id"]}]


def test_what_is_referred_to_is_a_value_and_no_syntax(api: Any) -> None:
    name = "a&select=secret,b)#/%"
    reply = batch(
        api,
        {
            "method": "POST",
            "path": "/rest/v1/items",
            "body": {"name": name},
            "headers": RETURNING,
            "name": "item",
        },
        {"path": "/rest/v1/items?select=name&name=eq.${item.0.name}"},
    ).expect(200)
    assert reply.json()["results"][1]["body"] == [{"name": name}]


@pytest.mark.parametrize(
    ("failing", "status", "code"),
    [
        ({"method": "POST", "path": "/rest/v1/clients", "body": {"id": 1, "name": "again"}}, 409, "23505"),
        ({"path": "/rest/v1/nothing"}, 404, "PGRST205"),
        ({"path": "/rest/v1/items?id=eq.x"}, 400, "22P02"),
        ({"path": "/rest/v1/items?id=eq.1", "headers": {"accept": "image/png"}}, 406, "PGRST107"),
        ({"path": "/rest/v1/items?id=eq.${nobody.0.id}"}, 400, "PGRST102"),
        ({"path": "/elsewhere"}, 404, "PGRST125"),
        ({"method": "POST", "path": "/rest/v1/clients", "body": [1]}, 400, "PGRST102"),
        (
            {"method": "PATCH", "path": "/rest/v1/items", "body": {"done": True},
             "headers": {"prefer": "handling=strict, max-affected=1"}},
            400, "PGRST124",
        ),
    ],
)  # fmt: skip
def test_nothing_stays_where_one_fails(api: Any, failing: Any, status: int, code: str) -> None:
    made = {"method": "POST", "path": "/rest/v1/clients", "body": {"id": 8, "name": "Hal"}, "name": "hal"}
    error = batch(api, made, failing).expect(status).json()
    assert error["code"] == code
    assert api.rows("clients?id=eq.8") == []


def test_an_error_tells_which_operation_failed(api: Any) -> None:
    fine = {"path": "/rest/v1/clients"}
    error = batch(api, fine, fine, {"path": "/rest/v1/items?nothing=eq.1"}).expect(400).json()
    assert (error["operation"], error["code"]) == (2, "42703")


@pytest.fixture
def readers(api: Any) -> Iterator[dict[str, str]]:
    """Let the role authenticated read clients, and return headers that speak for it."""
    with api.database.schema_transaction() as transaction:
        transaction.script("grant select on clients to authenticated")
    yield {"x-role": "authenticated"}
    with api.database.schema_transaction() as transaction:
        transaction.script("revoke select on clients from authenticated")


def test_every_operation_has_the_callers_rights(api: Any, readers: dict[str, str]) -> None:
    batch(api, {"path": "/rest/v1/clients"}, headers=readers).expect(200)
    write = {"method": "POST", "path": "/rest/v1/clients", "body": {"id": 9, "name": "x"}}
    assert batch(api, write, headers=readers).expect(403).json()["code"] == "42501"
    # Nor does an operation choose who it is for.
    write["headers"] = {"x-role": "service_role", "authorization": "Bearer x"}
    assert batch(api, write, headers=readers).expect(403).json()["code"] == "42501"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        "[1]",
        '[{"method":"TRACE","path":"/rest/v1/items"}]',
        '[{"path":"/rest/v1/items","other":1}]',
        "[" * 9999,
    ],
)
def test_a_body_that_is_no_batch_is_refused(api: Any, body: str) -> None:
    reply = api.client.post("/batch/v1", body=body.encode(), headers={"content-type": "application/json"})
    assert reply.expect(400).json()["code"] == "PGRST102"


def test_no_operations_are_fine_and_too_many_are_refused(api: Any) -> None:
    assert batch(api).expect(200).json() == {"results": []}
    error = batch(api, *[{"path": "/rest/v1/items"}] * 1001).expect(400).json()
    assert error["message"] == "a batch has at most 1000 operations"


def test_a_write_of_several_cannot_be_undone_by_itself_nor_be_anothers(api: Any) -> None:
    records, service = api.client.kernel.services[Records], Identity("service_role")
    insert = Insert("clients", ("id", "name"), '[{"id":11,"name":"x"}]', 1, undo=True)
    with pytest.raises(Unsupported), records.together(service) as together:
        together.insert(insert, service)
    with pytest.raises(ValueError, match="one identity"), records.together(service) as together:
        together.read(Select("clients"), Identity("service_role", "another"))
    assert api.rows("clients?id=eq.11") == []

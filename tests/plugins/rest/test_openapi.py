"""The root describes the schema as far as the caller may see it."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.contracts.database import Database
from kernel.testing.client import Reply

SCHEMA = """
create table makers (id integer primary key, name varchar(20) not null default 'nobody');
comment on table makers is E'Who makes things\\n\\nPeople and\\nothers.';
create table things (
    id integer primary key,
    maker_id integer references makers (id),
    tags text[],
    extra jsonb default '{}',
    price numeric(10, 2) default 1.5,
    done boolean not null default false,
    made date default current_date,
    size bigint
);
comment on column things.maker_id is 'Its maker';
create view cheap as select id, maker_id, price from things where price < 2;
create view summary as select count(*) as many from things;
create function twice(n integer, times integer default 2) returns integer language sql immutable
    as $$ select n * times $$;
create function clear() returns void language sql as $$ delete from things $$;
grant select on makers to anon;
"""


@pytest.fixture(scope="module")
def make_client(make_rest_kernel: Any, role_by_header: Any) -> Any:
    return lambda **settings: make_rest_kernel(SCHEMA, role_by_header, rest=settings).client


@pytest.fixture(scope="module")
def client(make_client: Any) -> Any:
    return make_client()


def root(client: Any, role: str = "service_role", **headers: str) -> Reply:
    reply: Reply = client.get("/rest/v1/", headers={"x-role": role, **headers})
    return reply


def test_a_table_is_described_with_types_defaults_comments_and_keys(client: Any) -> None:
    reply = root(client).expect(200)
    assert reply.header("content-type") == "application/openapi+json; charset=utf-8"
    document = reply.json()
    assert document["swagger"] == "2.0"
    assert document["basePath"] == "/rest/v1"
    assert document["definitions"]["makers"] == {
        "type": "object",
        "description": "Who makes things\n\nPeople and\nothers.",
        "required": ["id", "name"],
        "properties": {
            "id": {"type": "integer", "format": "int32", "description": "Note:\nThis is a Primary Key.<pk/>"},
            "name": {
                "type": "string", "format": "character varying", "maxLength": 20, "default": "nobody",
            },
        },
    }  # fmt: skip
    things = document["definitions"]["things"]
    assert things["required"] == ["id", "done"]
    columns = things["properties"]
    assert columns["maker_id"]["description"] == (
        "Its maker\n\nNote:\nThis is a Foreign Key to `makers.id`.<fk table='makers' column='id'/>"
    )
    assert columns["tags"] == {"type": "array", "format": "text[]", "items": {"type": "string"}}
    assert columns["extra"]["format"] == "jsonb"
    assert "type" not in columns["extra"]
    assert columns["price"] == {"type": "number", "format": "numeric", "default": 1.5}
    assert columns["done"] == {"type": "boolean", "format": "boolean", "default": False}
    assert (columns["made"]["type"], columns["made"]["format"]) == ("string", "date")
    assert columns["size"] == {"type": "integer", "format": "int64"}


def test_a_view_shows_its_tables_keys(client: Any) -> None:
    columns = root(client).json()["definitions"]["cheap"]["properties"]
    assert columns["id"]["description"] == "Note:\nThis is a Primary Key.<pk/>"
    assert columns["maker_id"]["description"].endswith("<fk table='makers' column='id'/>")
    assert "description" not in columns["price"]


def test_paths_say_what_can_be_done_and_every_reference_leads_somewhere(client: Any) -> None:
    document = root(client).json()
    paths = document["paths"]
    assert paths["/makers"]["get"]["summary"] == "Who makes things"
    assert paths["/makers"]["get"]["description"] == "People and\nothers."
    assert set(paths["/things"]) == {"get", "post", "patch", "delete"}
    assert set(paths["/summary"]) == {"get"}
    assert set(paths["/rpc/twice"]) == {"get", "post"}
    assert set(paths["/rpc/clear"]) == {"post"}
    assert paths["/rpc/twice"]["get"]["parameters"] == [
        {"name": "n", "in": "query", "required": True, "type": "integer", "format": "int32"},
        {"name": "times", "in": "query", "required": False, "type": "integer", "format": "int32"},
    ]
    assert paths["/rpc/twice"]["post"]["parameters"][0]["schema"]["required"] == ["n"]

    def references(value: Any) -> Any:
        if isinstance(value, dict):
            yield from [value["$ref"]] if "$ref" in value else []
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from references(inner)

    for reference in references(document):
        _, kind, name = reference.split("/")
        assert name in document[kind], reference


def test_who_may_use_nothing_sees_nothing(client: Any) -> None:
    assert set(root(client, "anon").json()["definitions"]) == {"makers"}
    assert set(root(client, "authenticated").json()["definitions"]) == set()
    assert set(root(client).json()["definitions"]) == {"makers", "things", "cheap", "summary"}
    assert root(client, "nobody").expect(401).json()["code"] == "22023"


def test_a_change_of_the_schema_shows(make_client: Any) -> None:
    client = make_client()
    assert "later" not in root(client).json()["definitions"]
    with client.kernel.services[Database].schema_transaction() as transaction:
        transaction.script("create table later (id integer)")
    assert "later" in root(client).json()["definitions"]


def test_the_document_is_negotiated(client: Any) -> None:
    for accepted in ("application/json", "*/*", "application/openapi+json", "text/html, application/json"):
        root(client, accept=accepted).expect(200)
    error = root(client, accept="text/csv").expect(406).json()
    assert error["code"] == "PGRST107"
    reply = client.request("OPTIONS", "/rest/v1/").expect(200)
    assert reply.header("allow") == "OPTIONS,GET,HEAD"
    view = client.request("OPTIONS", "/rest/v1/summary", headers={"x-role": "service_role"}).expect(200)
    assert view.header("allow") == "OPTIONS,GET,HEAD"
    assert client.request("HEAD", "/rest/v1/").expect(200).body == b""
    assert client.post("/rest/v1/", json={}).expect(405).json()["code"] == "PGRST117"


def test_privileges_may_be_ignored_and_the_root_disabled(make_client: Any) -> None:
    assert "things" in root(make_client(openapi="ignore-privileges"), "anon").json()["definitions"]
    assert root(make_client(openapi="disabled")).expect(404).json()["code"] == "PGRST126"

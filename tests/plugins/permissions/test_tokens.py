"""A token's role decides what its bearer may do over REST, on both engines."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from kernel.contracts.database import Database
from kernel.contracts.keys import Keys
from kernel.testing.client import Client
from plugins.database import DatabasePlugin
from plugins.keys import KeysPlugin
from plugins.permissions import PermissionsPlugin
from plugins.records import RecordsPlugin
from plugins.rest import RestPlugin

ANN_ID, BOB_ID = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"

SCHEMA = f"""
create table posts (id bigint primary key, author uuid default auth.uid(), team integer, title text, secret text);
create role writer; create role editor; create role chief;
grant usage on schema public to writer;
grant select (id, title), insert (id, title), update (title) on posts to writer;
grant select, delete on posts to editor;
grant writer to editor; grant editor to chief;
alter table posts enable row level security;
create policy own on posts to writer using (author = auth.uid());
create policy team on posts for select to editor using (team = (auth.jwt() ->> 'team')::int);
create policy all_of_them on posts for delete to chief using (true);
create policy kept on posts as restrictive for delete to chief using (title <> 'law');
insert into posts values (1, '{ANN_ID}', 1, 'hers', 'x'), (2, '{BOB_ID}', 1, 'his', 'y'),
    (3, '{BOB_ID}', 2, 'other', 'z'), (4, null, 1, 'law', null);
"""
ROLES = ("writer", "editor", "chief")


@pytest.fixture(params=["sqlite", "postgresql"])
def kernel(request: pytest.FixtureRequest, make_kernel: Any) -> Iterator[Any]:
    settings: dict[str, Any] = {}
    schema, roles = SCHEMA, {}
    if request.param == "postgresql":
        settings["database"] = {"url": request.getfixturevalue("postgresql_url")}
    suffix = uuid.uuid4().hex[:8]
    for role in ROLES:  # roles are the whole server's, where others run the same test
        roles[role] = f"{role}_{suffix}"
        schema = schema.replace(role, roles[role])
    kernel = make_kernel(
        plugins=[DatabasePlugin, KeysPlugin, PermissionsPlugin, RecordsPlugin, RestPlugin], settings=settings
    )
    kernel.roles = roles
    with kernel.services[Database].schema_transaction() as transaction:
        transaction.script(schema)
    yield kernel
    with kernel.services[Database].schema_transaction() as transaction:
        writer = roles["writer"]
        transaction.script(f"drop table posts; revoke usage on schema public from {writer};")
        transaction.script("".join(f"drop role {role};" for role in reversed(roles.values())))


def bearer(kernel: Any, role: str, subject: str | None = ANN_ID, **claims: Any) -> Client:
    """Return a client with a signed token."""
    given = {"role": kernel.roles.get(role, role), **claims, **({"sub": subject} if subject else {})}
    client: Client = kernel.client.with_headers(
        {"authorization": f"Bearer {kernel.services[Keys].sign(given)}"}
    )
    return client


def ids(client: Client, query: str = "") -> list[int]:
    return [row["id"] for row in client.get(f"/rest/v1/posts?select=id&order=id{query}").expect(200).json()]


def test_a_projects_role_has_its_own_rights_and_rows(kernel: Any) -> None:
    writer = bearer(kernel, "writer")
    assert ids(writer) == [1]
    assert ids(bearer(kernel, "writer", BOB_ID)) == [2, 3]
    assert writer.get("/rest/v1/posts?select=secret").expect(403).json()["code"] == "42501"
    writer.post("/rest/v1/posts", json={"id": 9, "title": "new"}).expect(201)
    writer.post("/rest/v1/posts", json={"id": 10, "author": BOB_ID}).expect(403)
    writer.delete("/rest/v1/posts?id=eq.1").expect(403)
    assert ids(writer) == [1, 9]


def test_a_role_has_the_rights_of_the_roles_it_is_in(kernel: Any) -> None:
    assert ids(bearer(kernel, "editor", team=1)) == [1, 2, 4]
    assert ids(bearer(kernel, "editor", team=2)) == [1, 3]
    assert ids(bearer(kernel, "chief", None, team=2)) == [3]
    chief = bearer(kernel, "chief", team=1)
    chief.delete("/rest/v1/posts?team=eq.1").expect(204)
    assert ids(bearer(kernel, "editor", team=1)) == [4]


def test_service_role_is_without_bounds_and_anon_without_rights(kernel: Any) -> None:
    assert ids(bearer(kernel, "service_role", None)) == [1, 2, 3, 4]
    bearer(kernel, "anon", None).get("/rest/v1/posts").expect(401)
    kernel.client.get("/rest/v1/posts").expect(401)
    bearer(kernel, "authenticated").get("/rest/v1/posts").expect(403)


@pytest.mark.parametrize("role", ["nobody", "WRITER", "writer; drop table posts", "public", "none", 'a"b'])
def test_an_unknown_role_is_a_clear_refusal(kernel: Any, role: str) -> None:
    for method in ("get", "post"):
        options = {"json": {"id": 9}} if method == "post" else {}
        reply = getattr(bearer(kernel, role), method)("/rest/v1/posts", **options).expect(401)
        assert reply.json()["message"] == f'role "{role}" does not exist'
        assert reply.header("www-authenticate") == 'Bearer error="invalid_token"'
    assert ids(bearer(kernel, "service_role", None)) == [1, 2, 3, 4]

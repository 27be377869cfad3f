"""Limits against requests that would take too much."""

from __future__ import annotations

from typing import Any

import pytest

SCHEMA = """
create table parents (id integer primary key);
create table children (id integer primary key, parent integer references parents (id));
insert into parents select i from generate_series(1, 20) as s(i);
insert into children select i, 1 + i % 2 from generate_series(1, 20) as s(i);
create function all_children() returns setof children language sql stable as 'select * from children order by id';
create view endless as
    select count(*) as n from generate_series(1, 30000) as a(i), generate_series(1, 30000) as b(j), parents;
create function lasting() returns bigint language sql volatile as 'select n from endless';
"""


@pytest.fixture(scope="module")
def kernel(make_rest_kernel: Any, role_by_header: Any) -> Any:
    return make_rest_kernel(
        SCHEMA,
        role_by_header,
        database={"statement_timeout": 0.3},
        rest={"max_rows": 3, "embedding_depth": 2},
    )


@pytest.fixture
def client(kernel: Any) -> Any:
    return kernel.client.with_headers({"x-role": "service_role"})


@pytest.mark.parametrize(
    "query", ["parents", "parents?limit=10", "rpc/all_children", "rpc/all_children?limit=10", "parents?cursor=&limit=9"]
)  # fmt: skip
def test_an_answer_has_so_many_rows_at_most(client: Any, query: str) -> None:
    for headers in ({}, {"prefer": "stream"}, {"range": "0-9"}):
        if "cursor" in query and "prefer" in headers:
            continue
        assert len(client.get(f"/rest/v1/{query}", headers=headers).expect(200).json()) == 3


def test_a_row_has_so_many_related_rows_at_most(client: Any) -> None:
    found = client.get("/rest/v1/parents?select=id,children(id)&order=id").expect(200).json()
    assert [len(row["children"]) for row in found] == [3, 3, 0]


def test_related_rows_nest_so_deep_and_no_deeper(client: Any) -> None:
    client.get("/rest/v1/parents?select=children(parents(id))").expect(200)
    error = client.get("/rest/v1/parents?select=children(parents(children(id)))").expect(400).json()
    assert (error["code"], error["message"]) == ("PGRST100", "related rows nest at most 2 deep")


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize(
    ("method", "path"), [("get", "endless"), ("get", "rpc/lasting"), ("post", "rpc/lasting")]
)
def test_a_statement_takes_so_long_at_most(client: Any, method: str, path: str, accept: str) -> None:
    reply = getattr(client, method)(f"/rest/v1/{path}", headers={"accept": accept})
    error = reply.expect(500).json()
    assert (error["code"], error["message"]) == ("57014", "canceling statement due to statement timeout")
    assert "statement_timeout" in error["hint"]
    client.get("/rest/v1/parents").expect(200)

"""Functions in Python, called as those of the database are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest

from kernel.contracts.database import Database, DatabaseError, Transaction
from kernel.contracts.procedures import Procedure
from kernel.errors import HookError
from kernel.events import Veto
from kernel.identity import Identity
from kernel.plugin import Plugin, hookimpl
from plugins.database import DatabasePlugin
from plugins.records import RecordsPlugin

SCHEMA = """
create table accounts (id integer primary key, owner text not null, amount numeric(12, 2) not null);
grant select, update on accounts to authenticated;
create table log (note text);
create function doubled(x integer) returns integer language sql immutable as $$ select x * 2 $$;
"""


class Receipt(msgspec.Struct):
    sender: int
    recipient: int
    amount: Decimal


def transfer(transaction: Transaction, sender: int, recipient: int, amount: Decimal) -> Receipt:
    """Move an amount from one account to another."""
    change = "update accounts set amount = amount + cast(:change as numeric) where id = :id"
    transaction.execute(change, {"id": sender, "change": str(-amount)})
    transaction.execute(change, {"id": recipient, "change": str(amount)})
    ((left,),) = transaction.query("select amount from accounts where id = :id", {"id": sender})
    if Decimal(left) < 0:
        raise Veto("the account has too little")
    return Receipt(sender, recipient, amount)


def accounts_of(transaction: Transaction, owner: str, least: Decimal = Decimal(0)) -> Iterable[Receipt]:
    rows = transaction.query(
        "select id, amount from accounts where owner = :owner and amount >= cast(:least as numeric) order by id",
        {"owner": owner, "least": str(least)},
    )
    return (Receipt(int(identifier), 0, Decimal(amount)) for identifier, amount in rows)


def echo(
    flag: bool,
    number: int,
    real: float,
    exact: Decimal,
    text: str,
    identifier: UUID,
    moment: datetime,
    document: dict[str, Any],
    numbers: list[int],
    maybe: str | None = None,
) -> dict[str, Any]:
    return {
        "flag": flag, "number": number, "real": real, "exact": exact, "text": text, "identifier": identifier,
        "moment": moment, "document": document, "numbers": numbers, "maybe": maybe,
    }  # fmt: skip


def answer() -> int:
    return 42


def words(text: str) -> list[str]:
    return text.split()


def who(identity: Identity) -> str:
    return identity.role


def note(transaction: Transaction, text: str) -> None:
    transaction.on_behalf_of(None).execute("insert into log values (:text)", {"text": text})


def small(number: Annotated[int, msgspec.Meta(ge=0, le=9)]) -> int | None:
    return number or None


def sly(transaction: Transaction) -> None:
    transaction.execute("update accounts set amount = 0")


def broken() -> int:
    raise RuntimeError("a secret")


def refusing() -> int:
    raise DatabaseError("not today", sqlstate="PT418")


class Bank(Plugin):
    """Registers the functions above."""

    name = "bank"

    @hookimpl
    def records_procedures(self) -> Iterable[Procedure]:
        yield Procedure(transfer, ("authenticated",))
        for reading in (accounts_of, echo, answer, words, who, small, sly):
            yield Procedure(reading, ("public",), volatility="stable")
        for writing in (note, broken, refusing):
            yield Procedure(writing, ("public",))
        yield Procedure(hundredfold_doubled, (), "doubled")


def hundredfold_doubled(y: int) -> int:
    return y * 200


@pytest.fixture(scope="module")
def kernel(make_rest_kernel: Any, role_by_header: type[Plugin]) -> Any:
    return make_rest_kernel(SCHEMA, role_by_header, Bank, rest={"tx_end": "commit-allow-override"})


@pytest.fixture
def client(kernel: Any) -> Any:
    with kernel.services[Database].transaction() as transaction:
        transaction.script(
            "delete from log; delete from accounts;"
            "insert into accounts values (1, 'ann', 10.50), (2, 'bob', 0), (3, 'ann', 7);"
        )
    return kernel.client.with_headers({"x-role": "authenticated"})


def amounts(kernel: Any) -> list[str]:
    rows = kernel.services[Database].query("select amount from accounts order by id")
    return [row[0] for row in rows]


MOVE = {"sender": 1, "recipient": 2, "amount": 10.5}


def test_a_function_writes_with_its_callers_rights(kernel: Any, client: Any) -> None:
    reply = client.post("/rest/v1/rpc/transfer", json=MOVE).expect(200)
    assert reply.body == b'{"sender":1,"recipient":2,"amount":10.5}'
    assert amounts(kernel) == ["0.00", "10.50", "7.00"]
    denied = kernel.client.post("/rest/v1/rpc/transfer", json=MOVE).expect(401).json()
    assert denied["code"] == "42501" and "roles" in denied["hint"]
    with_no_more_rights = client.get("/rest/v1/rpc/sly")
    assert with_no_more_rights.expect(405).json()["code"] == "25006"


def test_a_refusal_leaves_nothing_and_says_why(kernel: Any, client: Any) -> None:
    error = client.post("/rest/v1/rpc/transfer", json={**MOVE, "amount": 11}).expect(400).json()
    assert (error["code"], error["message"]) == ("P0001", "the account has too little")
    assert amounts(kernel) == ["10.50", "0.00", "7.00"]
    assert client.post("/rest/v1/rpc/refusing").expect(418).json()["message"] == "not today"


def test_a_failure_is_the_servers_and_tells_nothing(client: Any) -> None:
    assert b"secret" not in client.post("/rest/v1/rpc/broken").expect(500).body


def test_rows_are_selected_filtered_ordered_and_counted(client: Any) -> None:
    path = "/rest/v1/rpc/accounts_of?owner=ann"
    assert client.get(path).expect(200).json() == [
        {"sender": 1, "recipient": 0, "amount": 10.5},
        {"sender": 3, "recipient": 0, "amount": 7},
    ]
    assert client.get(f"{path}&least=8.25&select=amount::text").expect(200).json() == [{"amount": "10.50"}]
    reply = client.get(
        f"{path}&order=sender.desc&limit=1&select=id:sender&sender=gt.0", headers={"prefer": "count=exact"}
    ).expect(206)
    assert (reply.json(), reply.header("content-range")) == ([{"id": 3}], "0-0/2")
    csv = client.get(f"{path}&select=sender", headers={"accept": "text/csv"}).expect(200)
    assert csv.body == b"sender\n1\n3"


def test_arguments_are_typed(client: Any) -> None:
    given = {
        "flag": True, "number": 2**60 + 1, "real": 0.5, "exact": Decimal("1.50"), "text": "t",
        "identifier": "00000000-0000-0000-0000-000000000001", "moment": "2024-01-01T00:00:00Z",
        "document": {"a": [1, None]}, "numbers": [1, 2],
    }  # fmt: skip
    body = msgspec.json.Encoder(decimal_format="number").encode(given)
    posted = client.post("/rest/v1/rpc/echo", body=body, headers={"content-type": "application/json"})
    assert b'"exact":1.50' in posted.expect(200).body.replace(b" ", b"")
    assert posted.json() == {**given, "exact": 1.5, "maybe": None}
    query = (
        "flag=true&number=1152921504606846977&real=0.5&exact=1.50&text=t"
        "&identifier=00000000-0000-0000-0000-000000000001&moment=2024-01-01T00:00:00Z"
        "&document=%7B%22a%22%3A%5B1%2Cnull%5D%7D&numbers=%5B1%2C2%5D"
    )
    assert client.get(f"/rest/v1/rpc/echo?{query}").expect(200).json() == posted.json()


@pytest.mark.parametrize(
    ("path", "words_of_it"),
    [
        ("small?number=x", "$.number"),
        ("small?number=10", "$.number"),
        (
            "echo?flag=true&number=1&real=1&exact=1&text=t&identifier=x&moment=2024-01-01&document=%7B&numbers=1",
            "",
        ),
    ],
)
def test_an_argument_that_does_not_fit_is_refused_with_its_place(
    client: Any, path: str, words_of_it: str
) -> None:
    error = client.get(f"/rest/v1/rpc/{path}").expect(400).json()
    assert error["code"] == "22P02" and words_of_it in error["message"]


def test_single_values_sets_of_them_and_nothing(kernel: Any, client: Any) -> None:
    assert client.get("/rest/v1/rpc/answer").expect(200).body == b"42"
    assert client.get("/rest/v1/rpc/words?text=a+b+c&limit=2").expect(200).json() == ["a", "b"]
    assert client.get("/rest/v1/rpc/small?number=0").expect(200).body == b"null"
    assert client.post("/rest/v1/rpc/note", json={"text": "x"}).expect(204).body == b""
    assert kernel.services[Database].query("select note from log") == [("x",)]
    assert client.get("/rest/v1/rpc/who").expect(200).json() == "authenticated"


def test_one_that_writes_is_not_called_by_get(client: Any) -> None:
    error = client.get("/rest/v1/rpc/note?text=x").expect(405).json()
    assert error["code"] == "25006"
    assert client.options("/rest/v1/rpc/note?text=x").expect(200).header("allow") == "OPTIONS,POST"
    assert client.options("/rest/v1/rpc/who").expect(200).header("allow") == "OPTIONS,GET,HEAD,POST"


def test_what_it_wrote_is_undone_if_that_is_wanted(kernel: Any, client: Any) -> None:
    client.post("/rest/v1/rpc/note", json={"text": "x"}, headers={"prefer": "tx=rollback"}).expect(204)
    assert kernel.services[Database].query("select note from log") == []


def test_python_and_sql_stand_beside_one_another(kernel: Any, client: Any) -> None:
    service = kernel.client.with_headers({"x-role": "service_role"})
    assert service.post("/rest/v1/rpc/doubled", json={"x": 4}).expect(200).json() == 8
    assert service.post("/rest/v1/rpc/doubled", json={"y": 4}).expect(200).json() == 800
    error = client.post("/rest/v1/rpc/anser").expect(404).json()
    assert error["hint"] == "Perhaps you meant to call the function public.answer"


def test_they_are_called_in_batches(kernel: Any, client: Any) -> None:
    operations: list[Any] = [
        {"method": "POST", "path": "/rest/v1/rpc/transfer", "body": MOVE, "name": "moved"},
        {"path": "/rest/v1/rpc/accounts_of?owner=ann&sender=eq.${moved.sender}&select=amount"},
        {"path": "/rest/v1/accounts?select=id&amount=eq.${moved.amount}"},
    ]
    results = client.post("/batch/v1", json=operations).expect(200).json()["results"]
    assert [result["body"] for result in results[1:]] == [[{"amount": 0}], [{"id": 2}]]
    again = client.post("/batch/v1", json=operations).expect(400).json()
    assert (again["message"], again["operation"]) == ("the account has too little", 0)
    assert client.post("/batch/v1", json=[{"method": "PATCH", "path": "/rest/v1/rpc/who"}]).status == 405


def test_the_root_describes_those_that_the_caller_may_call(kernel: Any, client: Any) -> None:
    paths = client.get("/rest/v1/").expect(200).json()["paths"]
    described = paths["/rpc/transfer"]["post"]
    assert described["summary"] == "Move an amount from one account to another."
    schema = described["parameters"][0]["schema"]
    assert schema["required"] == ["sender", "recipient", "amount"]
    assert schema["properties"]["sender"] == {"format": "int64", "type": "integer"}
    assert "get" in paths["/rpc/who"] and "get" not in described
    assert "/rpc/transfer" not in kernel.client.get("/rest/v1/").expect(200).json()["paths"]


def nameless(*numbers: int) -> int:
    return 0


def untyped(number) -> int:  # type: ignore[no-untyped-def]
    return 0


def endless(number: int):  # type: ignore[no-untyped-def]
    return 0


async def waiting() -> int:
    return 0


@pytest.mark.parametrize(
    ("calls", "problem"),
    [
        ((nameless,), "numbers"),
        ((untyped,), "number"),
        ((endless,), "returns"),
        ((waiting,), "async"),
        ((answer, answer), "another procedure"),
    ],
)
def test_a_function_that_cannot_be_called_stops_the_boot(
    kernel_factory: Any, calls: tuple[Callable[..., Any], ...], problem: str
) -> None:
    class Bad(Plugin):
        name = "bad"

        @hookimpl
        def records_procedures(self) -> Iterable[Procedure]:
            return [Procedure(call) for call in calls]

    with pytest.raises(HookError, match=f"'bad'.*{problem}"):
        kernel_factory(plugins=[DatabasePlugin, RecordsPlugin, Bad])

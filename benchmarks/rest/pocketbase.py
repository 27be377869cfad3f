"""PocketBase with the same rows, set up through its own API."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from benchmarks.load import running
from benchmarks.rest.sides import COMMENTS, ITEMS, OWNERS, Side, call

PASSWORD = "a long password"


@contextmanager
def pocketbase(folder: Path) -> Iterator[Side]:
    """Serve the rows with PocketBase."""
    command = ["pocketbase", "serve", "--http=127.0.0.1:{port}"]
    subprocess.run(
        ["pocketbase", "superuser", "upsert", "root@example.com", PASSWORD],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    with running(command, folder, "/api/health") as server:
        admin = {"authorization": _login(server.url, "_superusers", "root@example.com")}
        users = call(server.url, "GET", "/api/collections/users", None, admin)
        items = call(server.url, "POST", "/api/collections", _items(users["id"]), admin)
        call(server.url, "POST", "/api/collections", _comments(items["id"]), admin)
        user = {
            "email": "user@example.com",
            "password": PASSWORD,
            "passwordConfirm": PASSWORD,
            "verified": True,
        }
        made = call(server.url, "POST", "/api/collections/users/records", user, admin)
    fill(folder / "pb_data" / "data.db", made["id"])
    with running(command, folder, "/api/health") as server:
        token = _login(server.url, "users", "user@example.com")
        records, fields = "/api/collections/items/records", "id,title,price,done,owner,created"
        yield Side(
            server,
            {"authorization": token},
            f"{records}?fields={fields}&sort=-number&perPage=30&skipTotal=1",
            f"{records}/{_id(OWNERS + 7)}?fields={fields}",
            f"{records}?fields={fields},expand.comments_via_item.id,expand.comments_via_item.body"
            "&expand=comments_via_item&sort=-number&perPage=30&skipTotal=1",
            f"{records}?fields=id&filter=(title~'9%258%257')&sort=title&perPage=30&skipTotal=1",
            records,
            json.dumps({"title": "a title of some length", "price": 5, "done": False, "owner": made["id"]}),
        )


def _items(users: str) -> dict[str, Any]:
    own = "owner = @request.auth.id"
    return {
        "name": "items", "type": "base",
        "fields": [
            {"name": "number", "type": "number"}, {"name": "title", "type": "text"},
            {"name": "price", "type": "number"}, {"name": "done", "type": "bool"},
            {"name": "owner", "type": "relation", "collectionId": users, "maxSelect": 1},
            {"name": "created", "type": "autodate", "onCreate": True},
        ],
        "indexes": ["create index items_owner on items (owner, number)"],
        "listRule": own, "viewRule": own, "createRule": own,
    }  # fmt: skip


def _comments(items: str) -> dict[str, Any]:
    return {
        "name": "comments", "type": "base",
        "fields": [
            {"name": "item", "type": "relation", "collectionId": items, "maxSelect": 1},
            {"name": "body", "type": "text"},
        ],
        "indexes": ["create index comments_item on comments (item)"],
        "listRule": "@request.auth.id != ''", "viewRule": "@request.auth.id != ''",
    }  # fmt: skip


def fill(path: Path, user: str) -> None:
    """Put the rows into PocketBase's file, which nobody serves."""
    connection = apsw.Connection(str(path))
    with connection:
        connection.executemany(
            "insert into items (id, number, title, price, done, owner, created) values (?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    _id(n), n, f"item {n} of the list", n % 1000, n % 2 == 1,
                    user if n % OWNERS == 7 else f"other{n % OWNERS:010}", "2026-01-01 00:00:00.000Z",
                )
                for n in range(1, ITEMS + 1)
            ),
        )  # fmt: skip
        connection.executemany(
            "insert into comments (id, item, body) values (?, ?, ?)",
            (
                (f"c{n:08}k{k:05}", _id(n), f"comment {k} on {n}")
                for n in range(1, ITEMS + 1)
                for k in range(COMMENTS)
            ),
        )
    connection.close()


def _id(number: int) -> str:
    return f"item{number:011}"


def _login(url: str, collection: str, email: str) -> str:
    body = {"identity": email, "password": PASSWORD}
    token: str = call(url, "POST", f"/api/collections/{collection}/auth-with-password", body, {})["token"]
    return token

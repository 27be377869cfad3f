"""Errors name what PostgreSQL names: SQLSTATE, table, column, constraint, and the values in the way."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.contracts.database import Compiled, DatabaseError

SCHEMA = """
create schema shop;
create table shop.customers (id int primary key, email text, "Name" text not null, unique (email, "Name"));
create unique index on shop.customers (lower(email));
create table shop.orders (
    id int primary key, customer int not null references shop.customers, total numeric check (total >= 0),
    constraint large check (total < 1000 or customer > 1)
);
insert into shop.customers values (1, 'a@b', 'Ann'), (2, 'c@d', 'Cid');
insert into shop.orders values (1, 1, 10);
"""


@pytest.fixture
def shop(database: Any) -> Any:
    with database.schema_transaction() as transaction:
        transaction.script(SCHEMA)
    return database


def refused(database: Any, statement: str | Compiled, params: dict[str, Any] | None = None) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught, database.transaction() as transaction:
        transaction.execute(statement, params or {})
    return caught.value


def test_a_unique_violation_names_constraint_and_values(shop: Any) -> None:
    error = refused(shop, "insert into shop.customers values (3, 'x@y', 'Xi'), (4, 'c@d', 'Cid')")
    assert (error.sqlstate, error.schema, error.table) == ("23505", "shop", "customers")
    assert error.constraint in ("customers_email_Name_key", "customers_lower_idx")
    error = refused(shop, "insert into shop.customers values (:id, null, 'Xi')", {"id": 2})
    assert error.message == 'duplicate key value violates unique constraint "customers_pkey"'
    assert error.detail == "Key (id)=(2) already exists."
    error = refused(shop, "update shop.customers set id = 2 where id = 1")
    assert error.detail == "Key (id)=(2) already exists."


@pytest.mark.parametrize(
    ("kind", "there", "new"),
    [
        ("interval", "1 day", "24 hours"),
        ("numeric", "1.5", "1.50"),
        ("jsonb", '{"a": 1}', '{"a": 1.0}'),
        ("char(3)", "a", "a "),
        ("text", "a", "a"),
        ("text[]", "{a,b}", '{"a", "b"}'),
    ],
)
def test_the_first_key_whose_values_are_equal_as_their_type_has_it_is_named(
    database: Any, kind: str, there: str, new: str
) -> None:
    with database.schema_transaction() as transaction:
        transaction.script(
            f"create table t (id int primary key, first {kind} unique, last int unique);"
            f"insert into t values (1, '{there}', 5)"
        )
    assert refused(database, f"insert into t values (2, '{new}', 5)").constraint == "t_first_key"
    assert refused(database, "insert into t values (2, null, 5)").constraint == "t_last_key"


def test_a_missing_parent_is_named(shop: Any) -> None:
    error = refused(shop, "insert into shop.orders values (2, 99, 1)")
    assert (error.sqlstate, error.schema, error.table) == ("23503", "shop", "orders")
    assert error.message == (
        'insert or update on table "orders" violates foreign key constraint "orders_customer_fkey"'
    )
    assert error.detail == 'Key (customer)=(99) is not present in table "customers".'


@pytest.mark.parametrize(
    "statement", ["delete from shop.customers", "update shop.customers set id = 9 where id = 1"]
)
def test_a_parent_that_is_still_needed_is_named(shop: Any, statement: str) -> None:
    error = refused(shop, statement)
    assert (error.sqlstate, error.constraint) == ("23503", "orders_customer_fkey")
    assert error.message.startswith('update or delete on table "customers" violates foreign key constraint')
    assert error.detail == 'Key (id)=(1) is still referenced from table "orders".'


@pytest.mark.parametrize(
    ("rows", "statement", "constraint", "detail"),
    [
        (
            "insert into b values (1, 2, 2); insert into a values (1, 2)",
            "delete from p where id > 1",
            "b_x_fkey",
            2,
        ),
        (
            "insert into a values (1, 2); insert into b values (1, 3, 3)",
            "delete from p where id > 1",
            "a_p_fkey",
            2,
        ),
        (
            "insert into a values (1, 3), (2, 1); insert into b values (1, 1, 1)",
            "delete from p",
            "b_x_fkey",
            1,
        ),
        ("insert into b values (1, 2, 2), (2, 1, null)", "update p set id = id + 10", "b_x_fkey", 1),
        ("insert into b values (1, null, 2), (2, 3, 1)", "update p set id = id + 10", "b_y_fkey", 1),
    ],
)
def test_the_first_of_several_parents_that_are_needed_is_named(
    database: Any, rows: str, statement: str, constraint: str, detail: int
) -> None:
    with database.schema_transaction() as transaction:
        transaction.script(
            "create table p (id int primary key);"
            "create table b (id int primary key, x int references p, y int references p);"
            "create table a (id int primary key, p int references p);"
            f"insert into p values (1), (2), (3); {rows}"
        )
    error = refused(database, statement)
    assert (error.sqlstate, error.constraint) == ("23503", constraint)
    assert (error.detail or "").startswith(f"Key (id)=({detail}) is still referenced")


def test_a_check_and_a_null_name_table_and_column(shop: Any) -> None:
    error = refused(shop, "insert into shop.orders values (2, 1, -1)")
    assert (error.sqlstate, error.schema, error.table, error.constraint) == (
        "23514",
        "shop",
        "orders",
        "orders_total_check",
    )
    assert refused(shop, "update shop.orders set total = 5000").constraint == "large"
    error = refused(shop, 'update shop.customers set "Name" = null')
    assert (error.sqlstate, error.schema, error.table, error.column) == ("23502", "shop", "customers", "Name")

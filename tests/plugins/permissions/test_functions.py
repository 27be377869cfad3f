"""Functions run with their caller's rights, or with their owner's, on both engines alike."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.identity import Identity

ANN = Identity("authenticated", "11111111-1111-1111-1111-111111111111")

SCHEMA = """
create table notes (id bigint primary key, maker text);
create function whose() returns text language sql stable as $$ select current_user::text $$;
create function owned(given text) returns text language sql stable security definer as
    $$ select given || ':' || current_user || ':' || current_role || ':' || user || ':' || whose() $$;
create function kept() returns text language sql security definer as
    $$ insert into notes (id, maker) select 1, current_user returning maker $$;
"""


@pytest.fixture
def database_of_functions(database: Any) -> Any:
    with database.schema_transaction() as transaction:
        transaction.script(SCHEMA)
    yield database
    with database.schema_transaction() as transaction:
        transaction.script("drop function kept(); drop function owned(text); drop function whose();")


def test_current_user_is_the_owner_within_a_function_of_its_owners_rights(database_of_functions: Any) -> None:
    """And the caller in its arguments and around it."""
    database = database_of_functions
    ((owner,),) = database.query("select current_user")
    assert owner != "authenticated"
    told = database.query("select owned(current_user::text), whose(), current_user", identity=ANN)
    assert told == [
        (f"authenticated:{owner}:{owner}:{owner}:{owner}", "authenticated", "authenticated"),
    ]
    assert database.query("select * from owned('x') o", identity=ANN) == [
        (f"x:{owner}:{owner}:{owner}:{owner}",)
    ]


def test_current_user_is_the_owner_in_what_such_a_function_writes(database_of_functions: Any) -> None:
    database = database_of_functions
    ((owner,),) = database.query("select current_user")
    with database.transaction(ANN) as transaction:
        assert transaction.query("select kept()") == [(owner,)]
        assert transaction.query("select current_user") == [("authenticated",)]

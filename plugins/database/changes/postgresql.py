"""The change log on PostgreSQL: triggers write it, and a cursor says which transactions a reader has seen.

A cursor holds a snapshot: which transactions were still open when the reader looked, so that what they commit
later is found however old it is by then. Source: chapter "System Information Functions" of PostgreSQL's manual,
``pg_snapshot`` and ``pg_visible_in_snapshot``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from kernel.contracts.changes import ChangeBatch, ChangesLost, RowChange
from kernel.contracts.database import Compiled
from kernel.contracts.signals import Signals
from plugins.database import parser
from plugins.database.changes.announcing import NOTIFICATION, Announcer
from plugins.database.changes.following import PUBLICATION as PUBLICATION
from plugins.database.changes.following import LogFollowing

if TYPE_CHECKING:
    from plugins.database.postgresql.database import PostgresDatabase

# `horizon`, `last` and `transaction` say what has been forgotten (see `_Forgotten`). Marks tell when somebody had
# looked, and what he saw. The epoch tells this log's cursors from another's.
_CREATE = """
create table if not exists kernel.changes (
    id bigint generated always as identity primary key, transaction xid8 not null, moment timestamptz not null,
    "schema" text not null, "table" text not null, command text not null, old json, new json
);
create index if not exists changes_by_transaction on kernel.changes (transaction, id);
create table if not exists kernel.change_log (
    epoch text not null, horizon pg_snapshot, last bigint not null default 0, transaction xid8 not null default '0'
);
create table if not exists kernel.change_marks (moment timestamptz not null, seen pg_snapshot not null);
insert into kernel.change_log (epoch) select replace(gen_random_uuid()::text, '-', '')
    where not exists (select from kernel.change_log);
create or replace function kernel.log_change() returns trigger language plpgsql security definer
set search_path = pg_catalog set timezone = 'UTC' set intervalstyle = 'postgres' set bytea_output = 'hex'
set extra_float_digits = 1 as $change$
begin
    insert into kernel.changes (transaction, moment, "schema", "table", command, old, new) values (
        pg_current_xact_id(), clock_timestamp(), tg_table_schema, tg_table_name, tg_op,
        case when tg_op in ('UPDATE', 'DELETE') then to_json(old) end,
        case when tg_op in ('INSERT', 'UPDATE') then to_json(new) end
    );
    if coalesce(current_setting('kernel.announces', true), '') <> 'on' then
        perform pg_notify('kernel_signals', NOTIFICATION);
    end if;
    return null;
end $change$;
""".replace("NOTIFICATION", NOTIFICATION)

# What differs between the publication and the triggers: schema, table, and whether it is to be logged.
_DIFFERENCES = f"""
    select coalesce(p.schemaname, t.schemaname) as schema, coalesce(p.tablename, t.tablename) as name,
           p.tablename is not null as wanted
    from (select schemaname, tablename from pg_publication_tables
          where pubname = '{PUBLICATION}' and schemaname <> 'kernel') p
    full join (select n.nspname as schemaname, c.relname as tablename
               from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
               where t.tgname = 'kernel_changes' and t.tgparentid = 0) t
    using (schemaname, tablename)
    where p.tablename is null or t.tablename is null
"""  # noqa: S608 - a constant
# The log holds whole rows and all commands: who may not see some of them must not find them in it unawares. The
# columns that say so came with PostgreSQL 15.
_NARROWED = f"""
    select from pg_publication p left join pg_publication_rel r on r.prpubid = p.oid
    where p.pubname = '{PUBLICATION}' and (
        to_jsonb(r) ->> 'prqual' is not null or to_jsonb(r) ->> 'prattrs' is not null
        or not (p.pubinsert and p.pubupdate and p.pubdelete)
    )
"""
DIFFER = Compiled(f"select exists ({_DIFFERENCES}) or exists ({_NARROWED})")

RECONCILE = f"""
do $reconcile$
declare item record;
begin
    if exists ({_NARROWED}) then
        raise exception 'the publication {PUBLICATION} has row filters, column lists or a choice of commands'
            using errcode = '0A000', hint = 'Publish whole tables; policies say who sees which rows.';
    end if;
    for item in {_DIFFERENCES} loop
        if item.wanted then
            {_CREATE}
            execute format('create trigger kernel_changes after insert or update or delete on %I.%I
                for each row execute function kernel.log_change()', item.schema, item.name);
            execute format('create trigger kernel_truncation after truncate on %I.%I
                for each statement execute function kernel.log_change()', item.schema, item.name);
        else
            execute format('drop trigger kernel_changes on %I.%I', item.schema, item.name);
            execute format('drop trigger if exists kernel_truncation on %I.%I', item.schema, item.name);
        end if;
    end loop;
end $reconcile$
""".encode()
"""Gives triggers to the tables in the publication, and takes them from all others."""

CREATE_PUBLICATION = f"""
do $$ begin
    if not exists (select from pg_publication where pubname = '{PUBLICATION}') then
        create publication {PUBLICATION};
    end if;
end $$
""".encode()

_EXISTS = Compiled("select to_regclass('kernel.change_log') is not null")
_NOW = Compiled("""
    select epoch, pg_current_snapshot()::text, greatest(last, (select max(id) from kernel.changes))
    from kernel.change_log
""")
# What `seen` does not see but `upto` does, in the order of its numbers. What is numbered beyond `last`, the last
# change that `seen` saw, cannot have been seen; below it, only what was open then is new, which is found by its
# transaction. `after` is where an earlier page of the same stretch ended.
_READ = Compiled("""
    select l.epoch, s.upto::text, l.horizon::text, l.last, l.transaction::text, c.id, c.transaction::text, c.moment,
           c."schema", c."table", c.command, c.old::text, c.new::text
    from kernel.change_log l
    cross join (select coalesce(:upto::pg_snapshot, pg_current_snapshot()) as upto) s
    left join lateral (
        select * from (
            (select * from kernel.changes
             where transaction = any (:open::xid8[]) and id > :after::bigint and id <= :last::bigint
               and pg_visible_in_snapshot(transaction, s.upto)
             order by id limit :limit::bigint)
            union all
            (select * from kernel.changes
             where transaction >= :next::xid8 and id > :after::bigint and id <= :last::bigint
               and :after::bigint < :last::bigint and pg_visible_in_snapshot(transaction, s.upto)
             order by id limit :limit::bigint)
            union all
            (select * from kernel.changes
             where id > greatest(:after::bigint, :last::bigint) and pg_visible_in_snapshot(transaction, s.upto)
             order by id limit :limit::bigint)
        ) new order by id limit :limit::bigint
    ) c on true
    order by c.id
""")
# One prunes at a time; the number is ours alone: "changes" in ASCII.
_TAKE_TURN = Compiled("select pg_try_advisory_xact_lock(27980856960640371)")
_MARK = Compiled("insert into kernel.change_marks select clock_timestamp(), pg_current_snapshot()")
_OLD_MARK = Compiled("""
    select moment, seen::text from kernel.change_marks
    where moment <= clock_timestamp() - make_interval(secs => :retention::float8) order by moment desc limit 1
""")
_FORGET_MARKS = Compiled("delete from kernel.change_marks where moment <= :moment")
_FORGET = Compiled("""
    with gone as (
        delete from kernel.changes
        where transaction < pg_snapshot_xmax(:seen::pg_snapshot)
          and pg_visible_in_snapshot(transaction, :seen::pg_snapshot)
        returning id, transaction
    ),
    noted as (
        update kernel.change_log set horizon = :seen::pg_snapshot, last = (select max(id) from gone),
            transaction = (select transaction from gone order by transaction desc limit 1)
        where exists (select from gone)
    )
    select count(*) from gone
""")

START = ""
"""The cursor while there is no log yet."""

_CURSOR = re.compile(r"([0-9a-f]+)/(\d+:\d+:[\d,]*)/(\d+)(?:/(\d+)/(\d+:\d+:[\d,]*))?")


class _Cursor(msgspec.Struct, frozen=True):
    """What has been seen: all that the snapshot `seen` sees, whose last change is `last`.

    In the middle of a stretch also what `upto` sees, up to the change `after`.
    """

    epoch: str
    seen: str
    last: int
    after: int = 0
    upto: str | None = None

    def __str__(self) -> str:
        page = f"/{self.after}/{self.upto}" if self.upto is not None else ""
        return f"{self.epoch}/{self.seen}/{self.last}{page}"

    @property
    def next(self) -> str:
        """The transaction from which on `seen` sees nothing."""
        return self.seen.split(":")[1]

    @property
    def open(self) -> list[str]:
        """The transactions before that one which `seen` does not see either."""
        return [number for number in self.seen.split(":")[2].split(",") if number]


_FROM_THE_START = _Cursor(START, "1:1:", 0)


def _read_cursor(text: str) -> _Cursor:
    if text == START:
        return _FROM_THE_START
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise ChangesLost("the cursor is none of this log's")
    epoch, seen, last, after, upto = match.groups()
    return _Cursor(epoch, seen, int(last), int(after or 0), upto)


class _Forgotten(msgspec.Struct, frozen=True):
    """What has been forgotten: changes up to `last`, of transactions up to `transaction`, that `horizon` sees."""

    horizon: str | None
    last: int
    transaction: str

    def concerns(self, cursor: _Cursor) -> bool:
        """Tell whether some of it may be what the cursor's reader has not seen."""
        if self.horizon is None:
            return False
        reached = cursor.last if cursor.upto is None else cursor.after
        if reached < self.last or int(self.transaction) >= int(cursor.next):
            return True
        return any(
            int(number) <= int(self.transaction) and _sees(self.horizon, number) for number in cursor.open
        )


def _sees(snapshot: str, transaction: str) -> bool:
    lowest, highest, still_open = snapshot.split(":")
    if int(transaction) < int(lowest):
        return True
    return int(transaction) < int(highest) and transaction not in still_open.split(",")


class PostgresChangeLog:
    """The log in the database."""

    def __init__(self, database: PostgresDatabase, signals: Signals) -> None:
        self._database = database
        self._signals = signals
        self._announcer = Announcer(database)

    def close(self) -> None:
        """Announce what has been committed, and no more."""
        self._announcer.close()

    def prepare(self) -> None:
        """Give triggers to tables that were published by other means, and take them from those that no longer are."""
        if self._database.query(DIFFER)[0][0]:
            with self._database.schema_transaction():
                pass  # its end does it

    def now(self) -> str:
        """Return a cursor behind all that has been committed so far."""
        if not self._exists():
            return START
        ((epoch, seen, last),) = self._database.query(_NOW)
        return str(_Cursor(epoch, seen, last))

    def read(self, after: str, limit: int = 1000) -> ChangeBatch:
        """Return at most `limit` changes after a cursor."""
        cursor = _read_cursor(after)
        if not self._exists():
            if after != START:
                raise ChangesLost("the cursor belongs to another database")
            return ChangeBatch((), START)
        rows = self._database.query(
            _READ,
            {
                "upto": cursor.upto,
                "open": "{" + ",".join(cursor.open) + "}",
                "next": cursor.next,
                "last": cursor.last,
                "after": cursor.after,
                "limit": limit,
            },
        )
        upto = rows[0][1]
        forgotten = _Forgotten(*rows[0][2:5])
        if cursor.epoch not in (rows[0][0], START) or forgotten.concerns(cursor):
            raise ChangesLost("the log does not hold what came after the cursor")
        changes = tuple(RowChange(row[5], int(row[6]), *row[7:]) for row in rows if row[5] is not None)
        if len(changes) == limit:
            page = msgspec.structs.replace(cursor, epoch=rows[0][0], after=changes[-1].id, upto=upto)
            return ChangeBatch(changes, str(page))
        newest = max(cursor.last, cursor.after, changes[-1].id if changes else 0)
        return ChangeBatch(changes, str(_Cursor(rows[0][0], upto, newest)))

    def follow(self, after: str, limit: int = 1000) -> LogFollowing:
        """Return what yields batches of changes after a cursor, and waits for more."""
        return LogFollowing(self, self._signals, after, limit)

    def prune(self, retention: float) -> int:
        """Forget the changes that a call at least `retention` seconds ago has seen."""
        if not self._exists():
            return 0
        with self._database.transaction() as transaction:
            if not transaction.query(_TAKE_TURN)[0][0]:
                return 0
            transaction.execute(_MARK)
            marks = transaction.query(_OLD_MARK, {"retention": retention})
            if not marks:
                return 0
            ((moment, seen),) = marks
            transaction.execute(_FORGET_MARKS, {"moment": moment})
            return int(transaction.query(_FORGET, {"seen": seen})[0][0])

    def _exists(self) -> bool:
        return bool(self._database.query(_EXISTS)[0][0])


def alters_publication(text: str) -> bool:
    """Tell whether a statement alters the publication, which is then to be there, as if it had always been."""
    return any(
        statement.get("AlterPublicationStmt", {}).get("pubname") == PUBLICATION
        for statement in parser.parse(text).statements
    )

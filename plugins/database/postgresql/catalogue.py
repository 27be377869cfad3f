"""The catalogue as PostgreSQL's own system tables tell it, read in one statement."""

from __future__ import annotations

import threading
from types import MappingProxyType

import msgspec

from kernel.contracts.catalogue import Catalogue, Domain, Enum, Function, Role, Table
from plugins.database.postgresql.session import Session
from plugins.database.postgresql.statements import Statement
from plugins.database.postgresql.views import shown
from plugins.database.views import with_origins

# The version is a sequence of ours; without it nothing has been changed through us yet.
_VERSION = Statement(
    b"""
    select coalesce((select last_value from pg_sequences
                     where schemaname = 'kernel' and sequencename = 'schema_version'), 0)
    """,
    (),
)
_SCHEMAS = Statement(
    b"""
    select n.nspname, coalesce((
        select json_agg(distinct case when a.grantee = 0 then 'public' else a.grantee::regrole::text end)
        from aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
        where a.privilege_type = 'USAGE' and a.grantee <> n.nspowner
    ), '[]')
    from pg_namespace n where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    """,
    (),
)
_ROLES = Statement(
    b"""
    select coalesce(json_agg(json_build_object(
        'name', r.rolname,
        'member_of', coalesce((
            select json_agg(g.rolname order by g.rolname) from pg_auth_members m join pg_roles g on g.oid = m.roleid
            where m.member = r.oid and r.rolinherit
        ), '[]'),
        'bypasses_row_security', r.rolbypassrls or r.rolsuper,
        'unrestricted', r.rolsuper
    )), '[]')
    from pg_roles r where r.rolname !~ '^pg_'
    """,
    (),
)
CREATE_VERSION = b"create schema if not exists kernel; create sequence if not exists kernel.schema_version"
NEXT_VERSION = b"select nextval('kernel.schema_version')"

# A JSON array of what `kernel.contracts.catalogue.Table` holds, member by member.
_TABLES = Statement(
    b"""
    with actions(letter, action) as (
        values ('a', 'no action'), ('r', 'restrict'), ('c', 'cascade'), ('n', 'set null'), ('d', 'set default')
    ),
    names as not materialized (
        select attrelid, attnum, attname from pg_attribute where attnum > 0 and not attisdropped
    ),
    unreachable as (
        select t.ftrelid from pg_foreign_table t join pg_foreign_server s on s.oid = t.ftserver
            join pg_foreign_data_wrapper w on w.oid = s.srvfdw
        where w.fdwhandler = 0
    ),
    published as (
        select schemaname, tablename from pg_publication_tables where pubname = 'supabase_realtime'
    )
    select coalesce(json_agg(json_build_object(
        'schema', n.nspname,
        'name', c.relname,
        'kind', case when c.relkind in ('v', 'm') then 'view' else 'table' end,
        'writable', case
            when c.relkind in ('r', 'p') then '["insert", "update", "delete"]'::json
            when c.oid in (table unreachable) then '[]'
            else (select coalesce(json_agg(command), '[]')
                from (values ('update', 4), ('insert', 8), ('delete', 16)) _(command, bit)
                where pg_relation_is_updatable(c.oid, true) & bit <> 0)
            end,
        'comment', obj_description(c.oid, 'pg_class'),
        'row_security', c.relrowsecurity,
        'forced', c.relforcerowsecurity,
        'security_invoker', coalesce('security_invoker=true' = any (c.reloptions), false)
            or coalesce('security_invoker=on' = any (c.reloptions), false),
        'definition', case when c.relkind = 'v' and exists (
                select from unnest(c.reloptions) o where o in ('security_invoker=true', 'security_invoker=on')
            ) then 'create view v as ' || pg_get_viewdef(c.oid) end,
        'grants', coalesce((
            select json_agg(json_build_object('role', role, 'privilege', privilege, 'column', col)
                            order by role, privilege, col)
            from (
                select case when a.grantee = 0 then 'public' else g.rolname end, lower(a.privilege_type), null::name
                from aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
                    left join pg_roles g on g.oid = a.grantee
                union all
                select case when a.grantee = 0 then 'public' else g.rolname end, lower(a.privilege_type), t.attname
                from pg_attribute t, aclexplode(t.attacl) a left join pg_roles g on g.oid = a.grantee
                where t.attrelid = c.oid and not t.attisdropped
            ) _(role, privilege, col) where role is not null
        ), '[]'),
        'policies', coalesce((
            select json_agg(json_build_object(
                'name', p.polname,
                'command', case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
                    when 'd' then 'delete' else 'all' end,
                'permissive', p.polpermissive,
                'roles', (
                    select json_agg(case when o = 0 then 'public' else (select rolname from pg_roles where oid = o) end)
                    from unnest(p.polroles) o
                ),
                'using', pg_get_expr(p.polqual, p.polrelid),
                'check', pg_get_expr(p.polwithcheck, p.polrelid)
            ) order by p.polname)
            from pg_policy p where p.polrelid = c.oid
        ), '[]'),
        'published', (n.nspname, c.relname) in (table published),
        'columns', coalesce((
            select json_object_agg(a.attname, json_build_object(
                'name', a.attname,
                'type', format_type(a.atttypid, a.atttypmod),
                'nullable', not a.attnotnull,
                'default', case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end,
                'generated', a.attgenerated <> '' or a.attidentity = 'a',
                'identity', a.attidentity <> '',
                'comment', col_description(c.oid, a.attnum)
            ) order by a.attnum)
            from pg_attribute a left join pg_attrdef d on (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
            where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        ), '{}'),
        'primary_key', coalesce((
            select json_agg(names.attname order by k.place)
            from pg_index i, unnest(i.indkey) with ordinality k(attnum, place)
            join names on names.attnum = k.attnum and names.attrelid = c.oid
            where i.indrelid = c.oid and i.indisprimary
        ), '[]'),
        'foreign_keys', coalesce((
            select json_agg(json_build_object(
                'name', f.conname,
                'columns', (
                    select json_agg(names.attname order by k.place)
                    from unnest(f.conkey) with ordinality k(attnum, place)
                    join names on names.attnum = k.attnum and names.attrelid = f.conrelid),
                'referenced_schema', rn.nspname,
                'referenced_table', r.relname,
                'referenced_columns', (
                    select json_agg(names.attname order by k.place)
                    from unnest(f.confkey) with ordinality k(attnum, place)
                    join names on names.attnum = k.attnum and names.attrelid = f.confrelid),
                'on_delete', (select action from actions where letter = f.confdeltype::text),
                'on_update', (select action from actions where letter = f.confupdtype::text)
            ) order by f.conname)
            from pg_constraint f join pg_class r on r.oid = f.confrelid join pg_namespace rn on rn.oid = r.relnamespace
            where f.conrelid = c.oid and f.contype = 'f' and f.conparentid = 0
        ), '[]'),
        'indexes', coalesce((
            select json_agg(json_build_object(
                'name', ic.relname,
                'columns', (
                    select json_agg(names.attname order by k.place)
                    from unnest(i.indkey) with ordinality k(attnum, place)
                    left join names on names.attnum = k.attnum and names.attrelid = c.oid
                    where k.place <= i.indnkeyatts),
                'unique', i.indisunique,
                'partial', i.indpred is not null
            ) order by ic.relname)
            from pg_index i join pg_class ic on ic.oid = i.indexrelid
            where i.indrelid = c.oid and i.indisvalid
        ), '[]')
    ) order by n.nspname, c.relname), '[]')
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
      and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
      and not exists (select from pg_depend where objid = c.oid and deptype = 'e' and classid = 'pg_class'::regclass)
    """,
    (),
)

# A JSON array of what `kernel.contracts.catalogue.Function` holds.
_FUNCTIONS = Statement(
    b"""
    with functions as materialized (
        select p.*, n.nspname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where p.prokind = 'f' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and not exists (
            select from pg_depend where objid = p.oid and deptype = 'e' and classid = 'pg_proc'::regclass)
    ),
    rows as (
        -- Named by their schema wherever the server's search path leads.
        select c.reltype, concat(quote_ident(nullif(n.nspname, 'public')) || '.', quote_ident(c.relname)) as name
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    ),
    arguments as (
        select p.oid, a.place, coalesce(p.proargmodes[a.place], 'i') as mode, json_build_object(
            'name', nullif(p.proargnames[a.place], ''),
            'type', coalesce(r.name, format_type(a.type, null)),
            'default', pg_get_function_arg_default(p.oid, a.place::int),
            'variadic', coalesce(p.proargmodes[a.place] = 'v', false)
        ) as argument
        from functions p,
             unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality a(type, place)
             left join rows r on r.reltype = a.type
    ),
    lists as (
        select oid, json_agg(argument order by place) filter (where mode in ('i', 'b', 'v')) as arguments,
            json_agg(argument order by place) filter (where mode in ('t', 'o', 'b')) as columns
        from arguments group by oid
    )
    select coalesce(json_agg(json_build_object(
        'schema', p.nspname,
        'name', p.proname,
        'arguments', coalesce(a.arguments, '[]'),
        'returns', coalesce(r.name, format_type(p.prorettype, null)),
        'returns_set', p.proretset,
        'promises_one', p.proretset and p.prorows = 1,
        'columns', coalesce(a.columns, '[]'),
        'volatility', case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
        'security_definer', p.prosecdef,
        'executors', (
            select coalesce(jsonb_agg(distinct coalesce(g.rolname, 'public')), '[]')
            from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) e left join pg_roles g on g.oid = e.grantee
            where e.grantee <> p.proowner
        ),
        'language', l.lanname,
        'comment', obj_description(p.oid, 'pg_proc')
    ) order by p.nspname, p.proname, p.oid), '[]')
    from functions p join pg_language l on l.oid = p.prolang
        left join lists a on a.oid = p.oid left join rows r on r.reltype = p.prorettype
    """,
    (),
)


_ENUMS = Statement(
    b"""
    select coalesce(json_agg(json_build_object(
        'schema', n.nspname,
        'name', t.typname,
        'labels', (select json_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid)
    ) order by n.nspname, t.typname), '[]')
    from pg_type t join pg_namespace n on n.oid = t.typnamespace
    where t.typtype = 'e' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
      and exists (select from pg_enum e where e.enumtypid = t.oid)
    """,
    (),
)

_DOMAINS = Statement(
    b"""
    select coalesce(json_agg(json_build_object(
        'schema', n.nspname,
        'name', t.typname,
        'type', format_type(t.typbasetype, t.typtypmod),
        'nullable', not t.typnotnull,
        'default', t.typdefault,
        'checks', coalesce((
            select json_object_agg(c.conname, pg_get_expr(c.conbin, 0) order by c.conname)
            from pg_constraint c where c.contypid = t.oid and c.contype = 'c'), '{}'),
        'comment', obj_description(t.oid, 'pg_type')
    ) order by n.nspname, t.typname), '[]')
    from pg_type t join pg_namespace n on n.oid = t.typnamespace
    where t.typtype = 'd' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
      and not exists (select from pg_depend where objid = t.oid and deptype = 'e' and classid = 'pg_type'::regclass)
    """,
    (),
)


def read(session: Session) -> Catalogue:
    """Read the catalogue.

    The version is read first: a change in between is then read with an older version, and read again when it is
    announced.
    """
    ((version,),), _ = session.run(_VERSION, {})
    schemas, _ = session.run(_SCHEMAS, {})
    ((roles,),), _ = session.run(_ROLES, {})
    ((text,),), _ = session.run(_TABLES, {})
    tables = {(table.schema, table.name): table for table in msgspec.json.decode(text, type=list[Table])}
    ((text,),), _ = session.run(_FUNCTIONS, {})
    functions: dict[tuple[str, str], tuple[Function, ...]] = {}
    for function in msgspec.json.decode(text, type=list[Function]):
        key = (function.schema, function.name)
        functions[key] = (*functions.get(key, ()), function)
    ((text,),), _ = session.run(_ENUMS, {})
    enums = msgspec.json.decode(text, type=list[Enum])
    ((text,),), _ = session.run(_DOMAINS, {})
    domains = msgspec.json.decode(text, type=list[Domain])
    return Catalogue(
        version=version,
        tables=MappingProxyType(with_origins(tables, shown(session))),
        schemas=frozenset(name for name, _ in schemas),
        functions=MappingProxyType(functions),
        enums=MappingProxyType({(enum.schema, enum.name): enum for enum in enums}),
        domains=MappingProxyType({(domain.schema, domain.name): domain for domain in domains}),
        roles=MappingProxyType({role.name: role for role in msgspec.json.decode(roles, type=list[Role])}),
        usage=MappingProxyType(
            {name: msgspec.json.decode(who, type=frozenset[str]) for name, who in schemas if who != "[]"}
        ),
    )


class CatalogueCache:
    """The catalogue as this process knows it; `forget` it when somebody has announced a change.

    `changes` counts how often that was.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.changes = 0
        self._current: tuple[int, Catalogue] | None = None

    def current(self) -> Catalogue | None:
        """Return the catalogue, unless it has been forgotten."""
        current = self._current
        return current[1] if current is not None and current[0] == self.changes else None

    def refresh(self, session: Session) -> Catalogue:
        """Read the catalogue, unless another thread just has."""
        with self._lock:
            current = self.current()
            if current is None:
                # Counted before it is read: what is announced meanwhile makes it stale at once.
                changes = self.changes
                current = read(session)
                known = self._current
                if known is not None and known[1] == current:
                    current = known[1]
                self._current = (changes, current)
            return current

    def forget(self) -> None:
        """Read it again at the next use."""
        self.changes += 1

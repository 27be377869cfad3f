-- up
create table kernel.idempotency_keys (
    caller text not null,
    key text not null,
    request text not null,
    expires timestamptz not null,
    status integer,
    headers jsonb,
    body bytea,
    primary key (caller, key)
);
create index idempotency_keys_expires on kernel.idempotency_keys (expires);

-- down
drop table kernel.idempotency_keys;

-- What clients call, what is reckoned for each airport, and what strangers may note down.

create function codes(airports) returns text language sql immutable as $$ select $1.iata || '/' || $1.icao $$;

create function southern(airports) returns boolean language sql immutable as $$ select $1.latitude < 0 $$;

create function airports_in(country text) returns bigint language sql stable as $$
    select count(*) from airports where airports.country = airports_in.country
$$;

create function airports_between(south double precision, north double precision default 90)
returns setof airports language sql stable as $$
    select * from airports where latitude >= south and latitude < north
$$;

create function airports_among(codes text[], options jsonb) returns setof airports language sql stable as $$
    select * from airports
    where iata = any (codes) and elevation >= (options ->> 'lowest')::numeric
        and (options -> 'countries' is null or options -> 'countries' ? country)
$$;

create function time_zones_by_hour() returns table (hours numeric, zones bigint) language sql stable as $$
    select hours_ahead, count(*) from time_zones group by hours_ahead
$$;

create function note(airport text, body text, stars numeric default 3) returns notes language sql as $$
    insert into notes (airport, body, stars) values (note.airport, note.body, note.stars) returning *
$$;

create function forget_notes(airport text) returns void language sql as $$
    delete from notes where notes.airport = forget_notes.airport
$$;

-- Strangers may leave notes that are not too bad, and read the good ones.
alter table notes enable row level security;
grant select, insert on notes to anon;
create policy polite on notes for insert to anon with check (stars >= 2);
create policy praise on notes for select to anon using (stars >= 4);

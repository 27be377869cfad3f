-- The world's countries, what they are divided into, and its languages and currencies (ISO 3166, 639, 4217).

create table countries (
    alpha_2 text primary key check (length(alpha_2) = 2),
    alpha_3 text not null unique check (length(alpha_3) = 3),
    numeric_code text not null unique check (length(numeric_code) = 3),
    name text not null unique,
    official_name text,
    common_name text,
    flag text not null
);

create table subdivisions (
    code text primary key,
    country text not null references countries (alpha_2) on delete cascade,
    kind text not null,
    name text not null,
    parent text references subdivisions (code)
);

create index subdivisions_country_idx on subdivisions (country);

create table former_countries (
    alpha_4 text primary key check (length(alpha_4) = 4),
    name text not null,
    numeric_code text,
    withdrawn_year integer not null check (withdrawn_year between 1900 and 2100),
    withdrawn_on date,
    comment text
);

create table languages (
    id bigint primary key,
    alpha_3 text not null unique,
    alpha_2 text unique,
    name text not null,
    inverted_name text,
    scope text not null check (scope in ('I', 'M', 'S')),
    kind text not null,
    living boolean not null
);

create table currencies (
    alpha_3 text primary key,
    numeric_code text not null unique,
    name text not null
);

-- An example to begin with: a table of notes. The REST API serves it at /rest/v1/notes.
-- The server applies the files in this folder in the order of their names, each once. So that every copy of the
-- project ends up alike, change a table that exists by adding a file, for example 20270101120000_note_colours.sql:
--     alter table notes add column colour text;
-- To begin without this example, delete this file and the data folder.

create table notes (
    id bigint generated always as identity primary key,
    body text not null check (body <> ''),
    done boolean not null default false,
    created_at timestamptz not null default now()
);

-- A notice has no box: the sender words it from its kind and the member's address of then. A mail loses its box when sent.
alter table outbox alter column box drop not null;

-- Failed logins by the place they came from, by a keyed index of the address, on the real clock.
create table login_sources (
    source_index bytea       not null,
    failed_at    timestamptz not null
);
create index login_sources_idx on login_sources (source_index, failed_at);

-- Read models. Each table is written and read by the one module of its name; a rebuild makes a table of the same shape.

-- One row is one card: its folded account and access, and what SQL asks of them.
create table balances (
    card_id     uuid primary key,
    member_id   uuid not null,
    version     bigint not null,
    principal   bigint not null,
    next_due    date,
    state       bytea not null
);
create index balances_next_due_idx on balances (next_due) where next_due is not null;

-- One row is one movement of money on a card; rows never change.
create table transactions (
    card_id          uuid not null,
    position         bigint not null,
    line             smallint not null,
    transaction_id   uuid not null,
    kind             text not null,
    amount           bigint not null,
    direction        text not null check (direction in ('debit', 'credit')),
    allocation       jsonb,
    principal_before bigint,
    principal_after  bigint,
    method           text,
    value_date       date not null,
    recorded_at      timestamptz not null,
    reverses         uuid,
    revises          jsonb,
    caused_by        uuid,
    primary key (card_id, position, line)
);

-- One row is one card (kind 'card': its access) or one member (kind 'member': the web login).
create table lockouts (
    subject     uuid primary key,
    kind        text not null check (kind in ('card', 'member')),
    member_id   uuid not null,
    state       bytea not null
);
create index lockouts_member_idx on lockouts (member_id) where kind = 'card';

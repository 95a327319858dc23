-- The books: one row is one line of double entry, made from one event. Both sides of an event add up to the same.
create table journal (
    position    bigint      not null,
    line        smallint    not null,
    card_id     uuid        not null,
    account     text        not null,
    direction   text        not null check (direction in ('debit', 'credit')),
    amount      bigint      not null check (amount > 0),
    value_date  date        not null,
    booked_on   date        not null,
    recorded_at timestamptz not null,
    rules       smallint    not null,
    primary key (position, line)
);
create index journal_card_idx on journal (card_id, position, line);

-- What auditors have read: who, when, and what was asked for. No event, and never changed.
create table reads_on_record (
    read_id     bigint generated always as identity primary key,
    read_at     timestamptz not null default clock_timestamp(),
    subject     text not null,
    role        text not null,
    operation   text not null,
    path        text not null,
    query       text not null,
    request_id  text not null
);
create function refuse_change_of_the_record() returns trigger language plpgsql as $$
begin
    raise exception 'what was read stays on record: % is refused', tg_op using errcode = 'insufficient_privilege';
end $$;
create trigger reads_on_record_append_only before update or delete or truncate on reads_on_record
    for each statement execute function refuse_change_of_the_record();

-- Acts that were declined, with the state they saw. One row is one refusal of one act by one caller on one business day on
-- one state of its streams; a repetition raises `times`. So there is never more than the facts of the log give room for.
create table refused_acts (
    refusal_id      uuid        primary key,
    entry           bigint      generated always as identity unique,
    card_id         uuid,
    member_id       uuid        not null,
    operation       text        not null,
    actor           text        not null,
    role            text        not null,
    channel         text        not null,
    command_id      uuid        not null,
    correlation_id  text        not null,
    code            text        not null,
    remedy          text        not null,
    details         jsonb       not null,
    seen            jsonb       not null,
    refused_at      timestamptz not null,
    times           bigint      not null,
    last_refused_at timestamptz not null
);
create index refused_acts_card_idx on refused_acts (card_id, entry) where card_id is not null;
create index refused_acts_member_idx on refused_acts (member_id, entry);

create function refuse_change_of_a_refusal() returns trigger language plpgsql as $$
begin
    raise exception 'what was refused stays on record: % is refused', tg_op using errcode = 'insufficient_privilege';
end $$;
create trigger refused_acts_stay before delete or truncate on refused_acts
    for each statement execute function refuse_change_of_a_refusal();
create trigger refused_acts_only_count before update of refusal_id, card_id, member_id, operation, actor, role, channel,
    command_id, correlation_id, code, remedy, details, seen, refused_at on refused_acts
    for each statement execute function refuse_change_of_a_refusal();

-- Called by write_rows, in the call that records the batch.
create function write_refused_acts(refused jsonb) returns void language sql as $$
    insert into refused_acts as r (
        refusal_id, card_id, member_id, operation, actor, role, channel, command_id, correlation_id, code, remedy,
        details, seen, refused_at, times, last_refused_at
    )
    select refusal_id, card_id, member_id, operation, actor, role, channel, command_id, correlation_id, code, remedy,
        details, seen, refused_at, count, refused_at
    from (
        select distinct on (p.refusal_id) p.*, (r->>'act')::int as act, count(*) over (partition by p.refusal_id) as count
        from jsonb_array_elements(refused) r, jsonb_populate_record(null::refused_acts, r) p
        order by p.refusal_id, act
    ) firsts
    order by act -- entries are numbered in the order of the decisions
    on conflict (refusal_id) do update
    set times = r.times + excluded.times, last_refused_at = greatest(r.last_refused_at, excluded.last_refused_at)
$$;

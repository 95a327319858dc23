-- Cards of long streams as they stood at one version, written in the transaction of the events that reach it. Nothing but
-- a lane reads them, and only those that its own code folded. Every row may be deleted: the stream is folded anew then.
create table kept_states (
    stream      uuid   primary key,
    version     bigint not null,
    fold_code   bytea  not null,
    state       bytea  not null
);

-- What a lane needs to decide a batch: kind 0, the business time, the head and the clock's offset; kind 1, the kept states
-- of those streams of which it holds nothing (version 0; it asks with -1 for all events); kind 2, the events of each stream
-- after its kept or given version, in order and at most so many; kind 3, what is stored under the idempotency keys.
drop function bring_up(uuid[], bigint[], text[], text[]);
create function bring_up(
    streams uuid[], versions bigint[], subjects text[], keys text[], folded_by bytea, at_most int
) returns table (
    kind int, stream uuid, number bigint, word text, bytes bytea, fingerprint bytea, subject text, key text,
    at timestamptz, clock_offset interval
)
language sql volatile
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
    with asked as (
        select s.id, k.version as kept_version, k.state, coalesce(k.version, s.version) as version
        from unnest(streams, versions) s (id, version)
        -- Of no stream, no key: only those at version 0 are looked for.
        left join kept_states k on k.stream = case when s.version = 0 then s.id end and k.fold_code = folded_by
            and exists (select from ledger_events e where e.originator_id = k.stream and e.originator_version = k.version)
    )
    select 0, null::uuid, coalesce(l.notification_id, 0), null, null::bytea, null::bytea, null, null,
           greatest(clock_timestamp() + h.clock_offset, l.recorded_at), h.clock_offset
    from log_head h left join lateral (
        select notification_id, recorded_at from ledger_events order by notification_id desc limit 1) l on true
    union all
    select 1, a.id, a.kept_version, null, a.state, null, null, null, null, null
    from asked a where a.kept_version is not null
    union all
    (select 2, a.id, e.originator_version, e.topic, e.state, null, null, null, null, null
     from asked a cross join lateral (
         select originator_version, topic, state from ledger_events
         where originator_id = a.id and originator_version > a.version order by originator_version limit at_most) e
     order by a.id, e.originator_version)
    union all
    select 3, null, i.position, i.refusal, i.body, i.fingerprint, i.subject, i.key, null, null
    from unnest(subjects, keys) k (subject, key) join idempotency i on i.subject = k.subject and i.key = k.key
$$;

-- The one way into the log: record_acts looks for what clashes, then writes the rest, in one transaction under one lock.
-- It raises only on defects; a clash is an answer.
-- record_acts and bring_up only look rows up by their keys. Their plans are made once for a connection, often while the
-- tables are still empty, so they may not choose to read a whole one; and they are not made anew for each batch.

-- Streams whose version is no longer the one that the batch was decided on.
create function stale_streams(streams uuid[], versions bigint[]) returns uuid[] language sql stable as $$
    select coalesce(array_agg(s.id), '{}')
    from unnest(streams, versions) as s (id, version)
    where s.version <> coalesce(
        (select max(e.originator_version) from ledger_events e where e.originator_id = s.id), least(s.version, 0)
    )
$$;

-- Clashes that are not about streams: (act, what). `rows` holds the claims of the batch by table name.
create function taken_claims(key_acts int[], subjects text[], keys text[], rows jsonb)
returns table (act int, clash text) language sql stable as $$
    select k.act, 'key' from unnest(key_acts, subjects, keys) as k (act, subject, key)
    where exists (select from idempotency i where i.subject = k.subject and i.key = k.key)
    union all
    select (r->>'act')::int, 'web-id' from jsonb_array_elements(rows->'web_ids') r
    where exists (select from web_ids w where w.web_id_index = (r->>'web_id_index')::bytea
                  and w.member_id <> (r->>'member_id')::uuid)
    union all
    select (r->>'act')::int, 'card-number' from jsonb_array_elements(rows->'cards') r
    where exists (select from cards c where c.number_index = (r->>'number_index')::bytea
                  and c.card_id <> (r->>'card_id')::uuid)
    union all
    select (r->>'act')::int, 'card-exists' from jsonb_array_elements(rows->'cards') r
    where exists (select from cards c where c.member_id = (r->>'member_id')::uuid and not c.closed
                  and c.card_id <> (r->>'card_id')::uuid)
    union all
    select (r->>'act')::int, 'reset-token' from jsonb_array_elements(rows->'spent_reset_tokens') r
    where r ? 'token_hash'
      and not exists (select from reset_tokens t where t.token_hash = (r->>'token_hash')::bytea)
$$;

-- What each act may not do: acts are walked in order, because an act that clashes spoils the streams it wrote for
-- every later act of the batch.
create function clashing_acts(
    stale uuid[], taken jsonb, touch_acts int[], touch_streams uuid[], touch_writes boolean[]
) returns jsonb language plpgsql immutable as $$
declare
    clashes jsonb := taken;
    spoiled uuid[] := stale;
    t record;
begin
    for t in
        select act, array_agg(stream) as touched, array_agg(stream) filter (where writes) as written
        from unnest(touch_acts, touch_streams, touch_writes) as x (act, stream, writes) group by act order by act
    loop
        if clashes ? t.act::text then
            spoiled := spoiled || t.written;
        elsif t.touched && spoiled then
            clashes := clashes || jsonb_build_object(t.act::text, 'stale');
            spoiled := spoiled || t.written;
        end if;
    end loop;
    return clashes;
end $$;

-- Rows that stand or fall with the events of their act: vaults, sessions, epochs, claims, mails, and declined acts.
create function write_rows(rows jsonb, clashes jsonb) returns void language plpgsql as $$
declare
    kept jsonb;
begin
    select jsonb_object_agg(name, elements) into kept from (
        select t.key as name, jsonb_agg(r) as elements
        from jsonb_each(rows) t, jsonb_array_elements(t.value) r
        where not clashes ? (r->>'act') group by t.key
    ) k;
    if kept is null then
        return;
    end if;
    insert into epochs select p.* from jsonb_populate_recordset(null::epochs, kept->'epochs') p
        on conflict (subject) do update set epoch = excluded.epoch;
    update sessions s set ends = s.opened
        from jsonb_populate_recordset(null::sessions, kept->'ended_sessions') p where s.session_id = p.session_id;
    insert into sessions select p.* from jsonb_populate_recordset(null::sessions, kept->'sessions') p;
    insert into credentials select p.* from jsonb_populate_recordset(null::credentials, kept->'credentials') p
        on conflict (owner, kind) do update
        set generation = excluded.generation, key_id = excluded.key_id, verifier = excluded.verifier;
    insert into cards select p.* from jsonb_populate_recordset(null::cards, kept->'cards') p
        on conflict (card_id) do update set number_index = excluded.number_index, closed = excluded.closed;
    insert into web_ids select p.* from jsonb_populate_recordset(null::web_ids, kept->'web_ids') p
        on conflict (member_id) do update set web_id_index = excluded.web_id_index;
    insert into email_index select p.* from jsonb_populate_recordset(null::email_index, kept->'email_index') p
        on conflict (member_id) do update set email_index = excluded.email_index;
    insert into member_keys select p.* from jsonb_populate_recordset(null::member_keys, kept->'member_keys') p;
    insert into personal_boxes select p.* from jsonb_populate_recordset(null::personal_boxes, kept->'personal_boxes') p;
    delete from reset_tokens t using jsonb_populate_recordset(null::reset_tokens, kept->'spent_reset_tokens') p
        where t.member_id = p.member_id;
    insert into reset_tokens select p.* from jsonb_populate_recordset(null::reset_tokens, kept->'reset_tokens') p;
    insert into outbox select p.* from jsonb_populate_recordset(null::outbox, kept->'outbox') p;
    if kept ? 'refused_acts' then
        perform write_refused_acts(kept->'refused_acts');
    end if;
end $$;

create function record_acts(
    batch uuid, acts int, decided_offset interval,
    streams uuid[], versions bigint[],
    touch_acts int[], touch_streams uuid[], touch_writes boolean[],
    event_acts int[], event_streams uuid[], event_versions bigint[], event_topics text[], event_states bytea[],
    key_acts int[], subjects text[], keys text[], fingerprints bytea[], refusals text[], bodies bytea[],
    rows jsonb
) returns table (act int, clash text, last_position bigint) language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    clashes    jsonb := '{}';
    head       bigint;
    before     timestamptz;
    now_offset interval;
    at         timestamptz;
    stale      uuid[];
    written    bigint;
begin
    -- A statement of its own: the statements after it see everything that the holder before us committed.
    select clock_offset into now_offset from log_head for update;
    if now_offset is distinct from decided_offset then
        return query select a, 'clock', null::bigint from generate_series(1, acts) a;
        return;
    end if;
    select e.notification_id, e.recorded_at into head, before
        from ledger_events e order by e.notification_id desc limit 1;
    head := coalesce(head, 0);
    at := greatest(clock_timestamp() + now_offset, before);

    stale := stale_streams(streams, versions);
    if keys <> '{}' or rows is not null then
        -- The key is the last word: whoever repeats an act finds its own claims taken by it.
        select coalesce(jsonb_object_agg(c.act, c.clash order by c.clash = 'key'), '{}') into clashes
            from taken_claims(key_acts, subjects, keys, rows) c;
    end if;
    if stale <> '{}' or clashes <> '{}' then
        clashes := clashing_acts(stale, clashes, touch_acts, touch_streams, touch_writes);
    end if;

    insert into ledger_events (originator_id, originator_version, topic, state, notification_id, recorded_at)
        select e.stream, e.version, e.topic, e.state, head + row_number() over (order by e.nr), at
        from unnest(event_acts, event_streams, event_versions, event_topics, event_states)
            with ordinality as e (act, stream, version, topic, state, nr)
        where clashes = '{}' or not clashes ? e.act::text;
    get diagnostics written = row_count;

    return query
        with positions as (
            select a as act, head + coalesce(sum(n.events) over (order by a), 0) as last
            from generate_series(1, acts) a
            left join (
                select e.act, count(*) as events from unnest(event_acts) as e (act)
                where clashes = '{}' or not clashes ? e.act::text group by e.act
            ) n on n.act = a
        ), kept_keys as (
            insert into idempotency (subject, key, fingerprint, position, refusal, body, recorded_at)
            select k.subject, k.key, k.fingerprint, p.last, k.refusal, k.body, at
            from unnest(key_acts, subjects, keys, fingerprints, refusals, bodies)
                as k (act, subject, key, fingerprint, refusal, body)
            join positions p on p.act = k.act
            where clashes = '{}' or not clashes ? k.act::text
        )
        select p.act::int, clashes->>p.act::text, p.last::bigint from positions p;

    if rows is not null then
        perform write_rows(rows, clashes);
    end if;
    insert into recorded_batches values (batch, at);
    if written > 0 then
        perform pg_notify('ledger_events', (head + written)::text);
    end if;
end $$;

-- The sandbox's clock: forward only, and free from 1990 on before the first event. Answers the new business time, or null
-- where that would be backward.
create function move_clock(target timestamptz) returns timestamptz language plpgsql as $$
declare
    now_offset interval;
    last_at    timestamptz;
begin
    select clock_offset into now_offset from log_head for update;
    select recorded_at into last_at from ledger_events order by notification_id desc limit 1;
    if last_at is null then
        if target < '1990-01-01T00:00:00+09:00' then return null; end if;
    elsif target < greatest(clock_timestamp() + now_offset, last_at) then
        return null;
    end if;
    -- In days and microseconds, never in months: an interval of months would move with the calendar.
    update log_head set clock_offset = make_interval(secs => extract(epoch from (target - clock_timestamp())));
    return target;
end $$;

-- What a lane needs to decide a batch: kind 0, the business time, the head and the clock's offset; kind 1, the events of
-- the given streams after the given versions, in order; kind 2, what is stored under the given idempotency keys.
create function bring_up(streams uuid[], versions bigint[], subjects text[], keys text[])
returns table (
    kind int, stream uuid, number bigint, word text, bytes bytea, fingerprint bytea, subject text, key text,
    at timestamptz, clock_offset interval
)
language sql volatile
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
    select 0, null::uuid, coalesce(l.notification_id, 0), null, null::bytea, null::bytea, null, null,
           greatest(clock_timestamp() + h.clock_offset, l.recorded_at), h.clock_offset
    from log_head h left join lateral (
        select notification_id, recorded_at from ledger_events order by notification_id desc limit 1) l on true
    union all
    (select 1, e.originator_id, e.originator_version, e.topic, e.state, null, null, null, null, null
     from unnest(streams, versions) s (id, version)
     join ledger_events e on e.originator_id = s.id and e.originator_version > s.version
     order by e.originator_id, e.originator_version)
    union all
    select 2, null, i.position, i.refusal, i.body, i.fingerprint, i.subject, i.key, null, null
    from unnest(subjects, keys) k (subject, key) join idempotency i on i.subject = k.subject and i.key = k.key
$$;

-- The record function anew, with fewer statements: a statement costs the more the fewer acts share it. What clashes is the
-- exception, so only a batch that clashes is looked through act by act; and the caller numbers the acts by itself.
-- What its plans may not do is now a setting of the writing connection, no longer one of the function: entering and
-- leaving four settings was a fifth of a call.

drop function record_acts;
drop function taken_claims;

-- Acts whose idempotency key has an answer already.
create function taken_keys(key_acts int[], subjects text[], keys text[])
returns table (act int, clash text) language sql stable as $$
    select k.act, 'key' from unnest(key_acts, subjects, keys) as k (act, subject, key)
    where exists (select from idempotency i where i.subject = k.subject and i.key = k.key)
$$;

-- Acts that claim what another has. `rows` holds the claims of the batch by table name.
create function taken_claims(rows jsonb)
returns table (act int, clash text) language sql stable as $$
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

-- One row: `head` is the position before the batch, null where the clock was moved since it was decided, and then
-- nothing is written; `clashes` names the acts that are not written, null where all are.
-- `key_events` counts, for each key, the events of the batch up to its act.
create function record_acts(
    batch uuid, decided_offset interval,
    streams uuid[], versions bigint[],
    touch_acts int[], touch_streams uuid[], touch_writes boolean[],
    event_acts int[], event_streams uuid[], event_versions bigint[], event_topics text[], event_states bytea[],
    key_acts int[], key_events bigint[], subjects text[], keys text[], fingerprints bytea[], refusals text[], bodies bytea[],
    rows jsonb, out head bigint, out clashes jsonb
) language plpgsql as $$
declare
    before     timestamptz;
    now_offset interval;
    at         timestamptz;
    stale      uuid[];
begin
    -- A statement of its own: the statements after it see everything that the holder before us committed.
    select clock_offset into now_offset from log_head for update;
    if now_offset is distinct from decided_offset then
        return;
    end if;
    select e.notification_id, e.recorded_at into head, before
        from ledger_events e order by e.notification_id desc limit 1;
    head := coalesce(head, 0);
    at := greatest(clock_timestamp() + now_offset, before);

    select array_agg(s.id) into stale from unnest(streams, versions) as s (id, version)
        where s.version <> coalesce(
            (select max(e.originator_version) from ledger_events e where e.originator_id = s.id), least(s.version, 0)
        );
    if rows is not null then
        -- The key is the last word: whoever repeats an act finds its own claims taken by it.
        select jsonb_object_agg(c.act, c.clash order by c.clash = 'key') into clashes from (
            select * from taken_keys(key_acts, subjects, keys) union all select * from taken_claims(rows)
        ) c;
    elsif keys <> '{}' then
        select jsonb_object_agg(k.act, k.clash) into clashes from taken_keys(key_acts, subjects, keys) k;
    end if;
    if stale is not null or clashes is not null then
        clashes := clashing_acts(coalesce(stale, '{}'), coalesce(clashes, '{}'), touch_acts, touch_streams, touch_writes);
        select coalesce(array_agg(e.act order by e.nr), '{}'), array_agg(e.stream order by e.nr),
               array_agg(e.version order by e.nr), array_agg(e.topic order by e.nr), array_agg(e.state order by e.nr)
            into event_acts, event_streams, event_versions, event_topics, event_states
            from unnest(event_acts, event_streams, event_versions, event_topics, event_states)
                with ordinality as e (act, stream, version, topic, state, nr)
            where not clashes ? e.act::text;
        select array_agg((select count(*) from unnest(event_acts) a where a <= k.act) order by k.act),
               array_agg(k.subject order by k.act), coalesce(array_agg(k.key order by k.act), '{}'),
               array_agg(k.fingerprint order by k.act), array_agg(k.refusal order by k.act), array_agg(k.body order by k.act)
            into key_events, subjects, keys, fingerprints, refusals, bodies
            from unnest(key_acts, subjects, keys, fingerprints, refusals, bodies)
                as k (act, subject, key, fingerprint, refusal, body)
            where not clashes ? k.act::text;
    end if;

    if event_acts <> '{}' then
        insert into ledger_events (originator_id, originator_version, topic, state, notification_id, recorded_at)
            select e.stream, e.version, e.topic, e.state, head + e.nr, at
            from unnest(event_streams, event_versions, event_topics, event_states)
                with ordinality as e (stream, version, topic, state, nr);
        perform pg_notify('ledger_events', (head + cardinality(event_acts))::text);
    end if;
    if keys <> '{}' then
        insert into idempotency (subject, key, fingerprint, position, refusal, body, recorded_at)
            select k.subject, k.key, k.fingerprint, head + k.events, k.refusal, k.body, at
            from unnest(key_events, subjects, keys, fingerprints, refusals, bodies)
                as k (events, subject, key, fingerprint, refusal, body);
    end if;
    if rows is not null then
        perform write_rows(rows, coalesce(clashes, '{}'));
    end if;
    insert into recorded_batches values (batch, at);
end $$;

drop function stale_streams;
alter function bring_up reset all;

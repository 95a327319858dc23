-- What the projector keeps in memory between two pages holds for one build of a table: a rebuild is another one.
alter table projections add column built bigint not null default 0;

-- The rows of balances are changed in place, again and again: the room lets a change stay in its block and spare the
-- indexes. It holds for blocks that are filled from now on; a rebuilt table has it throughout.
alter table balances set (fillfactor = 45);
alter table lockouts set (fillfactor = 60);

-- Move read models from where the page was read to its end, in the transaction of its rows. Whoever has come between
-- (a rebuild, a stop, another projector) makes it fail, and nothing of the page stays.
create function move_projections(names text[], froms bigint[], builds bigint[], tos bigint[]) returns void
language plpgsql set plan_cache_mode = force_generic_plan as $$
declare
    moved bigint;
begin
    perform from projections where name = any(names) order by name for update;
    update projections p set position = m.moved_to, updated_at = clock_timestamp()
    from unnest(names, froms, builds, tos) m (name, moved_from, built, moved_to)
    where p.name = m.name and p.state = 'following' and p.position = m.moved_from and p.built = m.built;
    get diagnostics moved = row_count;
    if moved <> cardinality(names) then
        raise exception 'a read model stands elsewhere than where its page was read';
    end if;
    perform pg_notify('ledger_projected', string_agg(m.name || ':' || m.moved_to, ' '))
    from unnest(names, tos) m (name, moved_to);
end $$;

-- Bounds that hold whoever comes at one time, and from however many processes.

-- Counts one more failure of a number that is nobody's; answers how many there are. The table is bounded in 256 parts, by
-- the first byte of the index: one try at a time looks at a part, and at nothing but that part. A number that finds no
-- room in its own stays at its first failure. What is over an hour old is forgotten where room is needed, and by the sweep.
create function count_unknown_number(tried bytea, room int) returns int language plpgsql
set enable_seqscan = off as $$
declare
    first   bytea := substring(tried for 1);
    last    bytea := first || decode(repeat('ff', 32), 'hex');
    moment  timestamptz := business_now();
    over    timestamptz := moment - interval '1 hour';
    counted int;
begin
    perform pg_advisory_xact_lock(7010112300 + get_byte(tried, 0));
    update unknown_numbers u set
        failures = case when u.since > over then u.failures + 1 else 1 end,
        since = case when u.since > over then u.since else moment end
        where u.number_index = tried returning u.failures into counted;
    if found then
        return counted;
    end if;
    if (select count(*) from unknown_numbers where number_index between first and last) >= room then
        delete from unknown_numbers where number_index between first and last and since <= over;
        if not found then
            return 1;
        end if;
    end if;
    insert into unknown_numbers (number_index, failures, since) values (tried, 1, moment);
    return 1;
end $$;

-- The sweep looks for sealed mails that nobody sent, and for nothing else of the outbox.
create index outbox_boxes_idx on outbox (written_at) where kind = 'password-reset' and box is not null;

-- A login under way holds a place among the failures of its source; `attempt` is null once it has failed.
alter table login_sources add column attempt uuid;

-- Lets a login of a source begin, or answers the seconds until one failure fewer counts, in whichever window is full; one
-- second where it is only logins under way that fill it. One at a time for each source.
create function begin_login(source bytea, login uuid, in_ten_minutes int, in_a_day int) returns int language plpgsql as $$
declare
    moment timestamptz;
    full_  boolean;
    wait   int;
begin
    perform pg_advisory_xact_lock(hashtextextended(encode(source, 'hex'), 7010112205));
    moment := clock_timestamp();
    select count(*) filter (where s.failed_at > moment - interval '10 minutes') >= in_ten_minutes or count(*) >= in_a_day,
        greatest(
            1,
            case when count(*) filter (where s.attempt is null and s.failed_at > moment - interval '10 minutes')
                >= in_ten_minutes
            then extract(epoch from min(s.failed_at) filter (where s.failed_at > moment - interval '10 minutes')
                 + interval '10 minutes' - moment) end,
            case when count(*) filter (where s.attempt is null) >= in_a_day
            then extract(epoch from min(s.failed_at) + interval '1 day' - moment) end
        )::int
        into full_, wait
        from login_sources s where s.source_index = source and s.failed_at > moment - interval '1 day';
    if full_ then
        return wait;
    end if;
    insert into login_sources (source_index, failed_at, attempt) values (source, moment, login);
    return null;
end $$;

-- The log and what is written with it in one transaction. Read models are not here: each owns its table.

-- The one lock of all writers, and the sandbox's distance from the real clock. Never updated by a commit: dead
-- versions of this row under a long snapshot would slow every writer down.
create table log_head (
    only_row        boolean primary key default true check (only_row),
    sandbox         boolean not null,
    clock_offset    interval not null default '0',
    key_check       bytea
);

create table ledger_events (
    originator_id       uuid        not null,
    originator_version  bigint      not null,
    topic               text        not null,
    state               bytea       not null,
    notification_id     bigint      not null,
    recorded_at         timestamptz not null default clock_timestamp(),
    primary key (originator_id, originator_version)
) with (
    autovacuum_vacuum_insert_scale_factor = 0.2, autovacuum_analyze_threshold = 1000, autovacuum_analyze_scale_factor = 0.02
);
create unique index ledger_events_notification_id_idx on ledger_events (notification_id);

create function refuse_change_of_the_log() returns trigger language plpgsql as $$
begin
    raise exception 'the log is append-only: % is refused', tg_op using errcode = 'insufficient_privilege';
end $$;
create trigger ledger_events_append_only before update or delete or truncate on ledger_events
    for each statement execute function refuse_change_of_the_log();

-- Ids of committed batches: after a lost connection a lane asks here whether its last batch stands.
create table recorded_batches (
    batch_id    uuid primary key,
    recorded_at timestamptz not null
);

create table idempotency (
    subject     text   not null,
    key         text   not null,
    fingerprint bytea  not null,
    position    bigint not null,
    refusal     text,
    body        bytea  not null,
    recorded_at timestamptz not null,
    primary key (subject, key)
);
create index idempotency_refusals_idx on idempotency (recorded_at) where refusal is not null;

create table epochs (
    subject uuid primary key,
    epoch   bigint not null
);

create table sessions (
    session_id   uuid primary key,
    token_hash   bytea not null unique,
    member_id    uuid not null,
    card_id      uuid,
    route        text not null,
    channel      text not null,
    member_epoch bigint not null,
    card_epoch   bigint not null,
    opened       timestamptz not null,
    idle_until   timestamptz not null,
    ends         timestamptz not null
);
create index sessions_member_idx on sessions (member_id);

-- Credential vault: the only place of a verifier. One row per owner and kind: an older generation is gone.
create table credentials (
    owner       uuid   not null,
    kind        text   not null check (kind in ('pin', 'password')),
    generation  bigint not null,
    key_id      text   not null,
    verifier    bytea  not null,
    primary key (owner, kind)
);

create table cards (
    card_id      uuid primary key,
    member_id    uuid not null,
    number_index bytea not null unique,
    closed       boolean not null default false
);
create unique index cards_one_open_per_member_idx on cards (member_id) where not closed;
create index cards_member_idx on cards (member_id);

create table web_ids (
    web_id_index bytea primary key,
    member_id    uuid not null unique
);

create table email_index (
    member_id    uuid primary key,
    email_index  bytea not null
);
create index email_index_idx on email_index (email_index);

-- Personal-data vault: one key per member, wrapped by a key outside the database; boxes sealed under it.
create table member_keys (
    member_id   uuid primary key,
    key_id      text  not null,
    wrapped     bytea not null
);
create table personal_boxes (
    member_id   uuid   not null,
    stream      uuid   not null,
    version     bigint not null,
    kind        text   not null,
    box         bytea  not null,
    primary key (stream, version, kind)
);
create index personal_boxes_member_idx on personal_boxes (member_id, kind, version desc);

create table reset_tokens (
    token_hash  bytea primary key,
    member_id   uuid not null,
    reset_id    uuid not null,
    expires     timestamptz not null
);
create index reset_tokens_member_idx on reset_tokens (member_id);

-- Mails to be sent: sealed under the member's key, delivered by a sender, shown by the sandbox.
create table outbox (
    mail_id     uuid primary key,
    member_id   uuid not null,
    kind        text not null,
    box         bytea not null,
    written_at  timestamptz not null,
    sent_at     timestamptz
);
create index outbox_unsent_idx on outbox (written_at) where sent_at is null;

-- Card numbers that are nobody's, as they were tried: bounded, one hour long, so that they answer like a real one.
create table unknown_numbers (
    number_index bytea primary key,
    failures     int not null,
    since        timestamptz not null
);

create table role_tokens (
    token_id    uuid primary key,
    token_hash  bytea not null unique,
    role        text not null,
    subject     text not null,
    issued_at   timestamptz not null,
    expires_at  timestamptz not null,
    revoked_at  timestamptz
);

create table projections (
    name            text primary key,
    position        bigint not null default 0,
    state           text not null default 'following' check (state in ('following', 'failed')),
    failed_position bigint,
    failed_type     text,
    failed_error    text,
    updated_at      timestamptz not null default clock_timestamp()
);

-- The business clock: real, or real plus the sandbox's offset.
create function business_now() returns timestamptz language sql volatile as $$
    select clock_timestamp() + clock_offset from log_head
$$;

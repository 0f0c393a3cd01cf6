-- Times are microseconds since 1970 in UTC. Words (states, reasons, classes, steps) are those of the crate's `words`. Texts
-- compare by their bytes, as they do in SQLite. Ids of events can be longer than an index takes: what has them in one
-- indexes their hash or their beginning.

-- One row per kind of work that looks before it writes; whoever has the row locked has the turn.
CREATE TABLE turns (
    name TEXT COLLATE "C" PRIMARY KEY NOT NULL
);
INSERT INTO turns (name) VALUES ('dead_letters');

-- Ids of events that the broker confirmed: the window in which a platform's re-send is recognized. Long ones are hashes.
CREATE TABLE seen (
    source TEXT COLLATE "C" NOT NULL,
    id     TEXT COLLATE "C" NOT NULL,
    time   BIGINT NOT NULL,
    PRIMARY KEY (source, id)
);
CREATE INDEX seen_time ON seen (time);

-- How far a polling source has read its platform.
CREATE TABLE cursors (
    source TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    value  TEXT COLLATE "C" NOT NULL,
    time   BIGINT NOT NULL
);

-- Whether a destination takes deliveries. One without a row is open.
CREATE TABLE destination_states (
    name        TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    state       TEXT COLLATE "C" NOT NULL,
    reason      TEXT COLLATE "C" NOT NULL,
    changed_by  TEXT COLLATE "C" NOT NULL,
    since       BIGINT NOT NULL,
    probe_after BIGINT
);

-- Counters that tell a poller cheaply whether anything changed.
CREATE TABLE revisions (
    name  TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    value BIGINT NOT NULL
);
INSERT INTO revisions (name, value) VALUES ('destination_states', 0);

-- One row per dead letter. `life` is the newest generation given to its delivery, `replays` how often it was replayed
-- in all its lives. Of one delivery at most one row is not `dead_again`.
CREATE TABLE dead_letters (
    id           TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    channel      TEXT COLLATE "C" NOT NULL,
    contents     TEXT COLLATE "C" NOT NULL,
    state        TEXT COLLATE "C" NOT NULL,
    destination  TEXT COLLATE "C" NOT NULL,
    subscription TEXT COLLATE "C" NOT NULL,
    source       TEXT COLLATE "C" NOT NULL,
    event_id     TEXT COLLATE "C" NOT NULL,
    event_type   TEXT COLLATE "C" NOT NULL,
    reason       TEXT COLLATE "C" NOT NULL,
    class        TEXT COLLATE "C",
    status       BIGINT,
    detail       TEXT COLLATE "C" NOT NULL,
    cause        TEXT COLLATE "C" NOT NULL,
    generation   BIGINT NOT NULL,
    life         BIGINT NOT NULL,
    replays      BIGINT NOT NULL,
    time         BIGINT NOT NULL,
    record       BYTEA NOT NULL
);
CREATE INDEX dead_letters_time ON dead_letters (time, id);
CREATE INDEX dead_letters_channel ON dead_letters (channel, time, id);
CREATE INDEX dead_letters_state ON dead_letters (contents, state);
CREATE INDEX dead_letters_delivery ON dead_letters USING hash (event_id);

-- What happened to a dead letter since it was stored.
CREATE TABLE dead_letter_changes (
    dead_letter_id TEXT COLLATE "C" NOT NULL,
    time           BIGINT NOT NULL,
    state          TEXT COLLATE "C" NOT NULL,
    changed_by     TEXT COLLATE "C" NOT NULL,
    detail         TEXT COLLATE "C" NOT NULL
);
CREATE INDEX dead_letter_changes_id ON dead_letter_changes (dead_letter_id);

-- `owner` and `lease_until` say which console works on a replay.
CREATE TABLE replays (
    id          TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    destination TEXT COLLATE "C" NOT NULL,
    filter      TEXT COLLATE "C" NOT NULL,
    created_by  TEXT COLLATE "C" NOT NULL,
    created     BIGINT NOT NULL,
    forced      BOOLEAN NOT NULL,
    as_it_was   BOOLEAN NOT NULL,
    rate        DOUBLE PRECISION,
    state       TEXT COLLATE "C" NOT NULL,
    ended       BIGINT,
    owner       TEXT COLLATE "C",
    lease_until BIGINT
);
CREATE INDEX replays_created ON replays (created, id);

-- The frozen selection of a replay. `generation` is the life it gives; `previous` the dead letter's state before.
CREATE TABLE replay_items (
    replay_id      TEXT COLLATE "C" NOT NULL,
    position       BIGINT NOT NULL,
    dead_letter_id TEXT COLLATE "C" NOT NULL,
    state          TEXT COLLATE "C" NOT NULL,
    detail         TEXT COLLATE "C" NOT NULL,
    generation     BIGINT NOT NULL,
    previous       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (replay_id, position)
);
CREATE UNIQUE INDEX replay_items_dead_letter ON replay_items (replay_id, dead_letter_id);
CREATE INDEX replay_items_pending ON replay_items (replay_id, position) WHERE state = 'pending';

-- Journey records already taken in, so that one handed out again counts once.
CREATE TABLE journey_records (
    channel_partition BIGINT NOT NULL,
    channel_offset    BIGINT NOT NULL,
    time              BIGINT NOT NULL,
    PRIMARY KEY (channel_partition, channel_offset, time)
);
CREATE INDEX journey_records_time ON journey_records (time);

CREATE TABLE journey_steps (
    step         TEXT COLLATE "C" NOT NULL,
    time         BIGINT NOT NULL,
    source       TEXT COLLATE "C" NOT NULL,
    event_id     TEXT COLLATE "C" NOT NULL,
    event_type   TEXT COLLATE "C" NOT NULL,
    event_key    TEXT COLLATE "C" NOT NULL,
    subscription TEXT COLLATE "C" NOT NULL,
    destination  TEXT COLLATE "C" NOT NULL,
    class        TEXT COLLATE "C",
    retry_after  BIGINT,
    status       BIGINT,
    attempt      BIGINT NOT NULL,
    generation   BIGINT NOT NULL,
    replay_id    TEXT COLLATE "C" NOT NULL,
    rule_set     TEXT COLLATE "C" NOT NULL,
    dead_letter  TEXT COLLATE "C" NOT NULL,
    detail       TEXT COLLATE "C" NOT NULL,
    sequence     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);
CREATE INDEX journey_steps_event ON journey_steps (substr(event_id, 1, 200));
CREATE INDEX journey_steps_time ON journey_steps (time);

-- Sums of the counts of all journey records, per UTC day (days since 1970) and service. `delivered_again` are those
-- among `delivered` whose generation is above 0.
CREATE TABLE journey_counts (
    day             BIGINT NOT NULL,
    service         TEXT COLLATE "C" NOT NULL,
    accepted        BIGINT NOT NULL,
    duplicate       BIGINT NOT NULL,
    routed          BIGINT NOT NULL,
    filtered        BIGINT NOT NULL,
    undecodable     BIGINT NOT NULL,
    made            BIGINT NOT NULL,
    attempts        BIGINT NOT NULL,
    delivered       BIGINT NOT NULL,
    delivered_again BIGINT NOT NULL,
    dead            BIGINT NOT NULL,
    held            BIGINT NOT NULL,
    replayed        BIGINT NOT NULL,
    discarded       BIGINT NOT NULL,
    PRIMARY KEY (day, service)
);

-- Every operator's action.
CREATE TABLE audit (
    time     BIGINT NOT NULL,
    who      TEXT COLLATE "C" NOT NULL,
    action   TEXT COLLATE "C" NOT NULL,
    target   TEXT COLLATE "C" NOT NULL,
    detail   TEXT COLLATE "C" NOT NULL,
    sequence BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);

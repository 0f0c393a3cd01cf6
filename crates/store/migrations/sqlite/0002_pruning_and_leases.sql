-- How many dead letters of deliveries were forgotten, by the state they had: the account goes on counting them.
CREATE TABLE pruned_letters (
    state  TEXT PRIMARY KEY NOT NULL,
    number BIGINT NOT NULL
);
CREATE INDEX replay_items_letter ON replay_items (dead_letter_id);

-- Tells the process that has the lease from others that call themselves the same.
ALTER TABLE replays ADD COLUMN lease_session TEXT;

-- What a device is to be told on its down topic, as signed: one word of each kind and about each
-- thing. Owned by backend_sync/telemetry (words.py).

-- about is a hash where it would name a person. told_us is when it was last handed to the broker.
CREATE TABLE telemetry_words (
    device  text   NOT NULL,
    kind    text   NOT NULL,
    about   text   NOT NULL,
    seq     bigint NOT NULL,
    message bytea  NOT NULL,
    told_us bigint,
    times   integer NOT NULL DEFAULT 0,
    PRIMARY KEY (device, kind, about)
);
CREATE INDEX telemetry_words_to_tell ON telemetry_words (told_us NULLS FIRST, times);

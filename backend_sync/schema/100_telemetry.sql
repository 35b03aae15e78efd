-- Telemetry: sealed messages first, then what was made of them. Owned by backend_sync/telemetry.

-- One row per epoch of a device: how far the hash chain is covered, and how the epoch ended.
CREATE TABLE telemetry_streams (
    device      text   NOT NULL,
    epoch       bigint NOT NULL,
    seq         bigint NOT NULL,
    head        bytea  NOT NULL,
    close_count bigint,
    close_head  bytea,
    verdict     text   NOT NULL DEFAULT 'open' CHECK (verdict IN ('open', 'verified', 'mismatch')),
    PRIMARY KEY (device, epoch)
);

-- Every authentic message as it came, still sealed. known_us is when the core first had it durable.
-- flush names the flush that writes it to the lake; quarantine says why it could not be written.
CREATE TABLE telemetry_messages (
    device     text   NOT NULL,
    epoch      bigint NOT NULL,
    seq        bigint NOT NULL,
    kind       text   NOT NULL,
    topic      text   NOT NULL,
    message    bytea  NOT NULL,
    digest     bytea  NOT NULL,
    known_us   bigint NOT NULL,
    flush      bigint,
    quarantine text,
    frames     bigint NOT NULL DEFAULT 0,
    samples    bigint NOT NULL DEFAULT 0,
    events     bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (device, epoch, seq)
);
CREATE INDEX telemetry_messages_to_flush ON telemetry_messages (device, epoch, seq)
    WHERE kind = 'batch' AND flush IS NULL AND quarantine IS NULL;
CREATE INDEX telemetry_messages_of_flush ON telemetry_messages (flush, device, epoch, seq);

-- Signed statements that messages first..last are lost.
CREATE TABLE telemetry_gaps (
    device   text   NOT NULL,
    epoch    bigint NOT NULL,
    first    bigint NOT NULL,
    last     bigint NOT NULL,
    head     bytea  NOT NULL,
    message  bytea  NOT NULL,
    known_us bigint NOT NULL,
    PRIMARY KEY (device, epoch, first, last)
);

-- What drivers said about the use of their data, with the signed bytes as proof.
CREATE TABLE telemetry_consents (
    digest      bytea   PRIMARY KEY,
    device      text    NOT NULL,
    subject     text    NOT NULL,
    purpose     text    NOT NULL,
    text_sha256 text    NOT NULL,
    language    text    NOT NULL,
    given_us    bigint  NOT NULL,
    expires_us  bigint  NOT NULL,
    withdrawn   boolean NOT NULL,
    message     bytea   NOT NULL,
    known_us    bigint  NOT NULL
);
CREATE INDEX telemetry_consents_of_subject ON telemetry_consents (subject, purpose, given_us);

-- Messages that were not stored, by reason. Devices nobody knows share the empty name.
CREATE TABLE telemetry_counts (
    device  text   NOT NULL,
    outcome text   NOT NULL,
    reason  text   NOT NULL,
    count   bigint NOT NULL,
    PRIMARY KEY (device, outcome, reason)
);

-- A flush is planned, written, then done. A planned flush that finds no end is simply repeated:
-- its members and file names are fixed, so nothing is lost or doubled.
CREATE TABLE telemetry_flushes (
    flush bigint  PRIMARY KEY,
    done  boolean NOT NULL DEFAULT false
);
CREATE TABLE telemetry_files (
    path   text   PRIMARY KEY,
    flush  bigint NOT NULL REFERENCES telemetry_flushes (flush),
    kind   text   NOT NULL CHECK (kind IN ('samples', 'events', 'trips')),
    day    text   NOT NULL,
    rows   bigint NOT NULL,
    sha256 bytea  NOT NULL
);

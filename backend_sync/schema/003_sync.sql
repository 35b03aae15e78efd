-- The journals of all devices as they were signed, and what became of each entry.
-- Owned by backend_sync/core/accept and post.

CREATE TABLE journal_heads (
    device  text   NOT NULL REFERENCES devices,
    epoch   bigint NOT NULL CHECK (epoch >= 1),
    seq     bigint NOT NULL CHECK (seq >= 0),
    head    bytea  NOT NULL CHECK (octet_length(head) = 32),
    counter bigint NOT NULL DEFAULT 0 CHECK (counter >= 0),
    PRIMARY KEY (device, epoch)
);

-- entry holds the exact bytes that were hashed and signed for. A POISON entry is one whose bytes
-- follow in the chain but say nothing that we understand.
CREATE TABLE journal_entries (
    device      text   NOT NULL,
    epoch       bigint NOT NULL,
    seq         bigint NOT NULL CHECK (seq >= 1),
    op_id       uuid   NOT NULL UNIQUE,
    class       text   NOT NULL CHECK (class IN ('FACT', 'REQUEST', 'POISON')),
    kind        text   NOT NULL,
    entry       bytea  NOT NULL,
    hash        bytea  NOT NULL CHECK (octet_length(hash) = 32),
    received_us bigint NOT NULL,
    PRIMARY KEY (device, epoch, seq),
    FOREIGN KEY (device, epoch) REFERENCES journal_heads
);
CREATE TRIGGER journal_entries_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Entries that wait for the poster; a row leaves in the transaction that writes its outcome.
CREATE TABLE post_queue (
    ticket bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    op_id  uuid   NOT NULL UNIQUE REFERENCES journal_entries (op_id)
);

CREATE TABLE outcomes (
    op_id     uuid   PRIMARY KEY REFERENCES journal_entries (op_id),
    status    text   NOT NULL CHECK (status IN ('posted', 'suspense', 'declined')),
    reason    text   NOT NULL DEFAULT '',
    posted_us bigint NOT NULL,
    CHECK (status = 'posted' OR reason <> '')
);
CREATE TRIGGER outcomes_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON outcomes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Signed frames that contradict what the same device signed before: both branches are kept.
CREATE TABLE journal_forks (
    device      text   NOT NULL REFERENCES devices,
    digest      bytea  NOT NULL CHECK (octet_length(digest) = 32),
    epoch       bigint NOT NULL,
    seq         bigint NOT NULL,
    frame       bytea  NOT NULL,
    received_us bigint NOT NULL,
    PRIMARY KEY (device, digest)
);

-- Whatever a person at the bank must look at. subject makes raising the same one twice harmless.
CREATE TABLE exceptions (
    exception  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text   NOT NULL,
    subject    text   NOT NULL,
    device     text   REFERENCES devices,
    amount_fen bigint NOT NULL DEFAULT 0,
    reason     text   NOT NULL CHECK (reason <> ''),
    opened_us  bigint NOT NULL,
    UNIQUE (kind, subject)
);

-- A lease is the signed promise of a reservation: one customer, one kiosk, until an instant.
CREATE TABLE leases (
    lease       text    PRIMARY KEY,
    reservation uuid    NOT NULL UNIQUE REFERENCES reservations,
    device      text    NOT NULL REFERENCES devices,
    customer    text    NOT NULL REFERENCES customers,
    amount_fen  bigint  NOT NULL CHECK (amount_fen > 0),
    per_op_fen  bigint  NOT NULL CHECK (per_op_fen > 0 AND per_op_fen <= amount_fen),
    count_max   integer NOT NULL CHECK (count_max > 0),
    count_used  integer NOT NULL DEFAULT 0 CHECK (count_used BETWEEN 0 AND count_max),
    issued_us   bigint  NOT NULL,
    expires_us  bigint  NOT NULL,
    document    bytea   NOT NULL,
    released_us bigint,
    CHECK (expires_us > issued_us)
);
CREATE INDEX leases_of_device ON leases (device) WHERE released_us IS NULL;

-- PIN answers that have paid: each pays once. answer is SHA-256 of what the pad signed.
CREATE TABLE pin_answers (
    answer bytea PRIMARY KEY CHECK (octet_length(answer) = 32),
    op_id  uuid  NOT NULL REFERENCES journal_entries (op_id)
);
CREATE TRIGGER pin_answers_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON pin_answers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

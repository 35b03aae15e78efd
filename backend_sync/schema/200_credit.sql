-- Credit: every decision as a record that can be replayed. Owned by backend_sync/credit.

-- decision is the SHA-256 of the record's canonical JSON, so the same decision is stored once.
-- record is text, not jsonb: its exact bytes are what was hashed.
CREATE TABLE credit_decisions (
    decision text   PRIMARY KEY,
    kind     text   NOT NULL,
    subject  text   NOT NULL,
    as_of_us bigint NOT NULL,
    grade    text   NOT NULL,
    score    bigint NOT NULL,
    record   text   NOT NULL
);
CREATE INDEX credit_decisions_of_subject ON credit_decisions (subject, as_of_us);

-- What devices may use and whom they seal to. Owned by backend_sync/core/policies.

-- The key pairs that devices wrap their epoch keys to; the private halves are files. The present
-- one has the highest number of those not retired. A retired one is kept as a name alone.
CREATE TABLE hpke_keys (
    hpke_id    bytea  PRIMARY KEY CHECK (octet_length(hpke_id) = 8),
    number     bigint NOT NULL UNIQUE,
    since_us   bigint NOT NULL,
    retired_us bigint
);

-- Every policy that was ever issued, as the signed bytes that the device has. first_epoch is the
-- lowest epoch that began under it: no later epoch may begin under an older policy.
CREATE TABLE policies (
    device      text     NOT NULL REFERENCES devices,
    seq         bigint   NOT NULL CHECK (seq >= 1),
    message     bytea    NOT NULL,
    algs        bigint[] NOT NULL CHECK (cardinality(algs) > 0),
    hpke_id     bytea    NOT NULL REFERENCES hpke_keys,
    issued_us   bigint   NOT NULL,
    first_epoch bigint,
    PRIMARY KEY (device, seq)
);

-- Which key the epoch's own key is wrapped to: empty for a device that ratchets, null before its
-- start is known.
ALTER TABLE telemetry_streams ADD COLUMN hpke_id bytea;
CREATE INDEX telemetry_streams_of_key ON telemetry_streams (hpke_id);

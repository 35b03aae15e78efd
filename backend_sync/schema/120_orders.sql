-- What boxes are ordered to do, and what they said of it. Owned by backend_sync/telemetry/orders.

-- message is the signed order as it is sent, again and again until the box has answered or it is
-- over. outcome is null until then: taken, done, failed, refused, unknown, or superseded by a newer
-- campaign.
CREATE TABLE telemetry_orders (
    device     text   NOT NULL REFERENCES devices,
    kind       text   NOT NULL CHECK (kind IN ('campaign', 'command')),
    seq        bigint NOT NULL CHECK (seq >= 1),
    name       text   NOT NULL,
    message    bytea  NOT NULL,
    issued_us  bigint NOT NULL,
    expires_us bigint NOT NULL,
    sent       bigint NOT NULL DEFAULT 0,
    next_us    bigint NOT NULL,
    outcome    text,
    code       text,
    told_us    bigint,
    PRIMARY KEY (device, kind, seq)
);
CREATE INDEX telemetry_orders_due ON telemetry_orders (next_us) WHERE outcome IS NULL;

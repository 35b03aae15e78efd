-- What every device should know, by scope. Owned by backend_sync/core/downlink.
--
-- A scope's version rises by one per publication, under its row lock: versions commit in order, so
-- a device that has seen version n has seen everything up to n.

CREATE TABLE downlink_scopes (
    device  text   NOT NULL REFERENCES devices,
    scope   text   NOT NULL,
    version bigint NOT NULL CHECK (version >= 1),
    PRIMARY KEY (device, scope)
);

-- value is the deterministic CBOR of the item; NULL is a tombstone.
CREATE TABLE downlink_items (
    device  text   NOT NULL,
    scope   text   NOT NULL,
    key     text   NOT NULL,
    value   bytea,
    version bigint NOT NULL,
    PRIMARY KEY (device, scope, key),
    FOREIGN KEY (device, scope) REFERENCES downlink_scopes
);
CREATE INDEX downlink_items_since ON downlink_items (device, scope, version);

CREATE TABLE catalogues (
    target   text   NOT NULL,
    seq      bigint NOT NULL CHECK (seq >= 1),
    manifest bytea  NOT NULL,
    added_us bigint NOT NULL,
    PRIMARY KEY (target, seq)
);
CREATE TABLE blobs (
    sha256  text  PRIMARY KEY CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    content bytea NOT NULL
);

-- Keys of devices that were given a seed and wrap nothing. Owned by telemetry/devices and seeds.
-- Everything sealed here is sealed under a key of the core: a copy of the database opens nothing.

-- The next epoch of a device and its chain key.
CREATE TABLE telemetry_ratchets (
    device      text   PRIMARY KEY REFERENCES devices,
    sealed      bytea  NOT NULL,
    enrolled_us bigint NOT NULL
);

-- Keys of single epochs: of one that was skipped and may still come, or of one that has begun and
-- has not ended. Deleted once it has ended, or after the retention.
CREATE TABLE telemetry_epoch_keys (
    device   text    NOT NULL,
    epoch    bigint  NOT NULL,
    sealed   bytea   NOT NULL,
    begun    boolean NOT NULL,
    since_us bigint  NOT NULL,
    PRIMARY KEY (device, epoch)
);
CREATE INDEX telemetry_epoch_keys_since ON telemetry_epoch_keys (since_us);

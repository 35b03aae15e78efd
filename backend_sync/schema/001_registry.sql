-- Who may speak to this core, and for whom. Owned by backend_sync/core/registry.

CREATE TABLE devices (
    device       text   PRIMARY KEY CHECK (device ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    kind         text   NOT NULL CHECK (kind IN ('kiosk', 'gateway')),
    public_key   bytea  NOT NULL UNIQUE CHECK (octet_length(public_key) = 65),
    certificate  text   NOT NULL DEFAULT '',
    state        text   NOT NULL DEFAULT 'active'
                 CHECK (state IN ('active', 'quarantined', 'retired')),
    state_reason text   NOT NULL DEFAULT '',
    added_us     bigint NOT NULL,
    contact_us   bigint,
    CHECK (state = 'active' OR state_reason <> '')
);

-- A PIN pad belongs to one kiosk; it signs its answers and opens verifiers sealed to it.
CREATE TABLE pads (
    pad         text  PRIMARY KEY,
    device      text  NOT NULL UNIQUE REFERENCES devices,
    public_key  bytea NOT NULL CHECK (octet_length(public_key) = 65),
    hpke_public bytea NOT NULL CHECK (octet_length(hpke_public) = 65)
);

-- sealed_pin is the PIN verifier, sealed to this core's own key: the table alone guesses no PIN.
CREATE TABLE customers (
    customer   text    PRIMARY KEY CHECK (customer ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    name       text    NOT NULL CHECK (name <> ''),
    id_key     text    NOT NULL UNIQUE CHECK (id_key ~ '^[0-9a-f]{64}$'),
    large_type boolean NOT NULL DEFAULT false,
    sealed_pin bytea,
    added_us   bigint  NOT NULL
);

-- Which kiosks know a customer offline.
CREATE TABLE kiosk_customers (
    device   text NOT NULL REFERENCES devices,
    customer text NOT NULL REFERENCES customers,
    PRIMARY KEY (device, customer)
);
CREATE INDEX kiosk_customers_of_customer ON kiosk_customers (customer);

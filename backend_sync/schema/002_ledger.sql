-- Double entry. Owned by backend_sync/core/accounts and ledger; nobody else writes these tables.
--
-- balance_fen = credits - debits, for every account: a deposit is positive, cash in a drawer is
-- negative, and the sum over all accounts is zero after every statement (trigger below).

CREATE TABLE accounts (
    account_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account            text   NOT NULL UNIQUE,
    kind               text   NOT NULL CHECK (kind IN ('customer', 'drawer', 'vault', 'suspense')),
    balance_fen        bigint NOT NULL DEFAULT 0,
    pending_debit_fen  bigint NOT NULL DEFAULT 0 CHECK (pending_debit_fen >= 0),
    pending_credit_fen bigint NOT NULL DEFAULT 0 CHECK (pending_credit_fen >= 0),
    floor_fen          bigint,
    CONSTRAINT accounts_floor CHECK (balance_fen - pending_debit_fen >= floor_fen),
    CONSTRAINT accounts_customer_floor CHECK (kind <> 'customer' OR floor_fen IS NOT NULL)
);

CREATE TABLE transfers (
    transfer   uuid     PRIMARY KEY,
    kind       text     NOT NULL CHECK (kind IN ('single', 'pending', 'post', 'void', 'expire')),
    debit_id   bigint   NOT NULL REFERENCES accounts,
    credit_id  bigint   NOT NULL REFERENCES accounts,
    amount_fen bigint   NOT NULL CHECK (amount_fen > 0),
    pending    uuid     REFERENCES transfers,
    code       text     NOT NULL DEFAULT '',
    posted_us  bigint   NOT NULL,
    CHECK (debit_id <> credit_id),
    CHECK ((pending IS NOT NULL) = (kind IN ('post', 'void', 'expire')))
);
CREATE INDEX transfers_of_debit ON transfers (debit_id, posted_us);
CREATE INDEX transfers_of_credit ON transfers (credit_id, posted_us);
CREATE INDEX transfers_of_pending ON transfers (pending) WHERE pending IS NOT NULL;

-- What is left of a reservation. Closed means void or expired, or spent to the last fen.
CREATE TABLE reservations (
    transfer      uuid    PRIMARY KEY REFERENCES transfers,
    remaining_fen bigint  NOT NULL CHECK (remaining_fen >= 0),
    closed        boolean NOT NULL DEFAULT false,
    CHECK (closed = (remaining_fen = 0))
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER transfers_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER accounts_permanent BEFORE DELETE OR TRUNCATE ON accounts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_imbalance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moved numeric;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT coalesce(sum(abs(balance_fen)), 0) INTO moved FROM after;
    ELSE
        SELECT coalesce((SELECT sum(balance_fen) FROM after), 0)
             - coalesce((SELECT sum(balance_fen) FROM before), 0) INTO moved;
    END IF;
    IF moved <> 0 THEN
        RAISE EXCEPTION 'a statement moved % fen out of balance', moved
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER accounts_balanced AFTER UPDATE ON accounts
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_imbalance();
CREATE TRIGGER accounts_open_empty AFTER INSERT ON accounts
    REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_imbalance();

INSERT INTO accounts (account, kind) VALUES ('vault', 'vault'), ('suspense', 'suspense');

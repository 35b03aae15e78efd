-- Two more tables of the lake. Owned by backend_sync/telemetry (snapshots.py).

ALTER TABLE telemetry_files DROP CONSTRAINT telemetry_files_kind_check;
ALTER TABLE telemetry_files ADD CONSTRAINT telemetry_files_kind_check
    CHECK (kind IN ('samples', 'events', 'trips', 'snapshots', 'health'));

"""What is claimed of opened batches: whatever a box seals, its rows can be laid out."""

from __future__ import annotations

from backend_sync.telemetry.batch import Origin, read_batch, sample_rows
from edge.codec import deflate, encode
from edge.columns import Group, encode_columns

ORIGIN = Origin("box-1", 1, 1, 0)


def test_samples_of_64_bits_are_laid_out_exactly() -> None:
    values = [2**63 - 1, -(2**63), 2**53 + 1]
    columns = encode_columns([Group([1, 2, 3], {1: values})], 0)
    counts = {"frames": 3, "samples": 3}
    record = {"v": 1, "start_us": 1, "vehicle": "V-1", "counts": counts, "columns": columns}
    rows = sample_rows(read_batch(deflate(encode(record))), ORIGIN)
    assert rows["raw"].to_pylist() == values
    assert rows["value"].to_pylist() == [float(value) / 256 for value in values]

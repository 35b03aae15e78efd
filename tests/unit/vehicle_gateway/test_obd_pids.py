"""Who is asked where, and who answers where: ISO 15765-4."""

from __future__ import annotations

from edge.ports import EXTENDED_ID
from vehicle_gateway.obd_pids import is_request, is_response, request_id, single_frame


def test_response_ids_are_those_of_iso_15765() -> None:
    answering = [can_id for can_id in range(0x7D0, 0x800) if is_response(can_id)]
    assert answering == [*range(0x7E8, 0x7F0)]
    assert is_response(0x18DAF110 | EXTENDED_ID)
    assert not is_response(0x18DA10F1 | EXTENDED_ID)
    assert not is_response(0x7E8 | EXTENDED_ID)


def test_request_ids_are_those_of_iso_15765() -> None:
    asking = [can_id for can_id in range(0x7D0, 0x800) if is_request(can_id)]
    assert asking == [0x7DF, *range(0x7E0, 0x7E8)]
    assert is_request(0x18DB33F1 | EXTENDED_ID)
    assert is_request(0x18DA10F1 | EXTENDED_ID)
    assert not is_request(0x18DAF110 | EXTENDED_ID)
    assert not is_request(0x18DB33F1)


def test_each_computer_is_asked_where_it_listens() -> None:
    assert request_id(0x7E8) == 0x7E0
    assert request_id(0x7EF) == 0x7E7
    assert request_id(0x18DAF117 | EXTENDED_ID) == 0x18DA17F1 | EXTENDED_ID


def test_a_request_is_one_padded_frame() -> None:
    assert single_frame(b"\x01\x0c") == bytes.fromhex("02010C5555555555")

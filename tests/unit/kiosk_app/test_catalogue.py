"""What is claimed of the catalogue: verified wholly, swapped once, never back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from edge.keys import FileIdentity
from kiosk_app.catalogue import CatalogueError, Shelf
from tests.unit.kiosk_app.village import DAY_US, KIOSK, document

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.kiosk_app.village import Village

BALANCE = {"balance": document("balance")}


def refusal(village: Village) -> str:
    """What an update says; empty when it is taken or there is nothing new."""
    village.mirror.poll()
    assert village.mirror.reader is not None
    try:
        village.shelf.update(village.mirror.reader, village.clock.wall_us)
    except CatalogueError as error:
        return error.code
    return ""


def offered(village: Village) -> list[str]:
    assert village.shelf.current is not None
    return list(village.shelf.current.services)


def test_a_catalogue_that_holds_is_offered(village: Village) -> None:
    assert offered(village) == ["balance", "cash_withdrawal"]
    village.bank.publish(BALANCE)
    assert refusal(village) == ""
    assert offered(village) == ["balance"]


def test_a_forged_manifest_is_refused_and_the_old_catalogue_stays(
    village: Village, tmp_path: Path
) -> None:
    village.bank.publish(BALANCE, signer=FileIdentity.create(tmp_path / "thief.pem", "catalogue"))
    assert refusal(village) == "catalogue-signature"
    assert offered(village) == ["balance", "cash_withdrawal"]


def test_a_manifest_signed_by_the_core_is_no_catalogue(village: Village) -> None:
    village.bank.publish(BALANCE, signer=village.bank.core)
    assert refusal(village) == "catalogue-signature"


def test_an_older_seq_is_refused(village: Village) -> None:
    village.bank.publish(BALANCE, seq=7)
    assert refusal(village) == ""
    village.bank.publish({"cash_withdrawal": document("cash_withdrawal")}, seq=6)
    assert refusal(village) == "catalogue-older"
    assert offered(village) == ["balance"]


def test_seq_never_goes_back_over_a_restart_and_a_lost_mirror(village: Village) -> None:
    village.bank.publish(BALANCE, seq=7)
    assert refusal(village) == ""
    village.cut()
    village.open()
    assert offered(village) == ["balance"]
    village.bank.publish({"cash_withdrawal": document("cash_withdrawal")}, seq=3)
    assert refusal(village) == "catalogue-older"
    assert offered(village) == ["balance"]


def test_even_without_its_documents_the_kiosk_remembers_the_highest_seq(village: Village) -> None:
    village.bank.publish(BALANCE, seq=7)
    assert refusal(village) == ""
    village.store.execute("DELETE FROM catalogue_documents")
    village.shelf = Shelf(village.store, village.bank.signer.public_bytes, KIOSK)
    assert village.shelf.current is None
    village.bank.publish(BALANCE, seq=6)
    assert refusal(village) == "catalogue-older"
    village.bank.publish(BALANCE, seq=7)
    assert refusal(village) == ""
    assert offered(village) == ["balance"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"target": "kiosk-0002"}, "catalogue-target"),
        ({"valid_to_us": 1}, "catalogue-validity"),
        ({"valid_from_us": 1 << 60, "valid_to_us": 1 << 61}, "catalogue-validity"),
        ({"type": "lease"}, "catalogue-signature"),
        ({"services": {}}, "catalogue-signature"),
        ({"services": {"balance": 5}}, "catalogue-signature"),
        ({"services": {"balance": "00" * 32}}, "catalogue-blob"),
        ({"seq": -1}, "catalogue-signature"),
        ({"seq": "9"}, "catalogue-signature"),
        ({"colour": "red"}, "catalogue-signature"),
    ],
)
def test_a_manifest_is_refused_for(village: Village, changes: dict[str, object], code: str) -> None:
    village.bank.publish(BALANCE, **changes)
    assert refusal(village) == code
    assert offered(village) == ["balance", "cash_withdrawal"]


def test_a_blob_that_is_not_what_its_hash_says_is_refused(village: Village) -> None:
    village.bank.publish(BALANCE)
    digest = next(iter(village.bank.scopes["blobs"]))
    for each in list(village.bank.scopes["blobs"]):
        village.bank.say("blobs", each, b"{}")
    assert digest
    assert refusal(village) == "catalogue-blob"


def test_one_faulty_service_refuses_the_whole_catalogue(village: Village) -> None:
    faulty = json.loads(document("balance"))
    faulty["steps"]["show"]["operator"]["title"]["zh"] = "{id_number}"
    village.bank.publish(
        {"balance": json.dumps(faulty).encode(), "cash_withdrawal": document("cash_withdrawal")}
    )
    assert refusal(village) == "catalogue-service"
    assert offered(village) == ["balance", "cash_withdrawal"]


def test_a_document_under_another_name_is_refused(village: Village) -> None:
    village.bank.publish({"transfer": document("balance")})
    assert refusal(village) == "catalogue-service"


def test_anything_but_bytes_is_no_manifest(village: Village) -> None:
    village.bank.say("catalogue", "current", {"seq": 9})
    assert refusal(village) == "catalogue-signature"


def test_the_operator_sees_why_and_a_session_goes_on_with_its_own_document(
    village: Village,
) -> None:
    village.begin("balance")
    village.bank.publish(BALANCE, valid_to_us=1)
    village.desk.tick()
    assert village.step == "show"
    assert not village.desk.views().operator.notice.startswith("收到")
    village.press("customer", "finish")
    village.desk.tick()
    assert "不在有效期" in village.desk.views().operator.notice
    assert village.desk.views().customer.notice == ""


def test_a_new_catalogue_waits_until_the_session_has_ended(village: Village) -> None:
    village.begin()
    village.bank.publish(BALANCE)
    village.desk.tick()
    assert offered(village) == ["balance", "cash_withdrawal"]
    village.press("operator", "cancel")
    village.desk.tick()
    assert offered(village) == ["balance"]


def test_a_catalogue_that_has_expired_is_not_offered_and_the_operator_is_told(
    village: Village,
) -> None:
    village.clock.turn(31 * DAY_US / 1_000_000)
    village.desk.tick()
    views = village.desk.views()
    assert views.operator.choices == []
    assert "过期" in views.operator.notice

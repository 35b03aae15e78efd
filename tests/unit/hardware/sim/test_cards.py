"""The made-up village: valid numbers of nobody, the same for the same seed."""

from __future__ import annotations

from hardware.drivers.id_reader import check_number, decode_card, encode_card
from hardware.sim.cards import REGION, villagers


def test_everybody_has_a_valid_number_of_a_region_that_does_not_exist() -> None:
    people = villagers("village", 300)
    for person in people:
        check_number(person.card.number)
        assert person.card.number.startswith(REGION)
        assert person.card.number[6:14] == person.card.birth
        assert (int(person.card.number[16]) % 2 == 0) == (person.card.sex == "女")
        assert len(person.pin) == 6
    assert len({person.card.number for person in people}) == 300


def test_the_same_seed_makes_the_same_village() -> None:
    assert villagers("a", 5) == villagers("a", 5) != villagers("b", 5)


def test_every_card_fits_the_fields_of_a_chip() -> None:
    assert all(
        decode_card(encode_card(person.card)) == person.card for person in villagers("v", 50)
    )

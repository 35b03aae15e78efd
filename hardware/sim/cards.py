"""The people of a village that does not exist, and what their hands do at the counter.

Place in the flow: demo and tests → **cards** → the folders that the simulated devices watch.

* Everybody here is made up: the region code 990101 belongs to no county, so no living person can
  have one of these numbers, although each passes the check of a number.
* The same seed makes the same village.
* A hand moves at once: a file appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from hardware.drivers.id_reader import IdCard, check_digit
from hardware.sim.id_reader import CARD_NAME
from hardware.sim.pin_pad import ASKING_NAME, TYPED_NAME

if TYPE_CHECKING:
    from pathlib import Path

REGION: Final = "990101"
SURNAMES: Final = "王李张刘陈杨赵黄周吴"
WOMEN: Final = ("秀英", "桂兰", "玉梅", "凤霞", "春花", "淑珍", "红艳", "小燕")
MEN: Final = ("建国", "德福", "守田", "长顺", "志强", "永贵", "铁柱", "大山")
ADDRESS: Final = "虚构省示例县新立村"
AUTHORITY: Final = "示例县公安局"


@dataclass(frozen=True, slots=True)
class Villager:
    """Somebody who comes to the counter.

    Attributes:
        card: Their ID card.
        pin: Six digits that only they and the bank's vault know.
    """

    card: IdCard
    pin: str


def villagers(seed: str, count: int) -> list[Villager]:
    """Returns people with different numbers; the same for the same seed."""
    return [_villager(f"{seed}/{index}", index) for index in range(count)]


def _villager(seed: str, index: int) -> Villager:
    draw = hashlib.sha256(seed.encode()).digest()
    woman = draw[0] % 2 == 0
    given = (WOMEN if woman else MEN)[draw[1] % 8]
    birth = f"{1940 + draw[2] % 60}{1 + draw[3] % 12:02d}{1 + draw[4] % 28:02d}"
    # Sequence codes are even for women; the index keeps all numbers of a village apart.
    serial = (index * 2) % 998 + (0 if woman else 1)
    first = f"{REGION}{birth}{serial:03d}"
    card = IdCard(
        name=SURNAMES[draw[5] % 10] + given,
        sex="女" if woman else "男",
        nation="汉",
        birth=birth,
        address=f"{ADDRESS}{1 + draw[6] % 9}组",
        number=first + check_digit(first),
        authority=AUTHORITY,
        valid_from="20200101",
        valid_until="20400101",
    )
    return Villager(card, f"{int.from_bytes(draw[8:12], 'big') % 1_000_000:06d}")


# ------------------------------------------------------------------ hands
def place_card(sim_dir: Path, card: IdCard) -> None:
    """Lays an ID card on the reader."""
    content = json.dumps(asdict(card), ensure_ascii=False, indent=2)
    _appear(sim_dir / CARD_NAME, content)


def remove_card(sim_dir: Path) -> None:
    """Takes the card away; nothing happens when none lies there."""
    (sim_dir / CARD_NAME).unlink(missing_ok=True)


def type_pin(pad_dir: Path, pin: str) -> None:
    """Types a PIN on the pad and presses its green key; an empty PIN is its red key."""
    _appear(pad_dir / TYPED_NAME, pin)


def pad_asks(pad_dir: Path) -> bool:
    """Tells whether the pad's lamp is on: it waits for a PIN now."""
    return (pad_dir / ASKING_NAME).exists()


def _appear(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.touch(mode=0o600)
    draft.write_text(content, encoding="utf-8")
    draft.replace(path)

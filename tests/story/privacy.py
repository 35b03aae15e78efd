"""Who can read what: markers that must stand nowhere outside the box, the kiosk and the core.

Place in the flow: transcript, files of box and broker → **privacy** → demo, tests.

* Nothing of a person or a vehicle is readable in what the broker hands out or keeps, or in what the
  box keeps, not even the pseudonym of the driver who is signed in.
* The kiosk knows its customers, and its stores do not show them to who reads its disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.story.drive import DRIVER
from tests.story.figures import expect, expect_at_least
from tests.story.town import BOX, CUSTOMER, PLATE
from tests.story.transcript import files_holding

if TYPE_CHECKING:
    from tests.story.narrator import Narrator
    from tests.story.town import Town
    from tests.story.transcript import Transcript

PLAIN = b"SQLite format 3"


def markers(town: Town) -> dict[str, bytes]:
    """Returns what must not be readable, by what it is."""
    card = town.villager.card
    texts = {
        "name": card.name,
        "ID number": card.number,
        "address": card.address,
        "customer": CUSTOMER,
        "plate": PLATE,
        "driver": DRIVER,
    }
    return {name: text.encode() for name, text in texts.items()}


def check_privacy(town: Town, transcript: Transcript, tell: Narrator) -> None:
    """Searches all that was said and kept, and tells how much that was.

    Raises:
        Surprise: A marker is readable somewhere.
    """
    heard = (transcript.count("/up"), transcript.count("/down"))
    expect_at_least("messages up that the broker handed out", 2, heard[0])
    expect_at_least("messages down that the broker handed out", 1, heard[1])
    for name, marker in markers(town).items():
        expect(f"the {name} is in no message of {BOX}", False, transcript.holds(marker))
        for folder in (town.box_dir / "data", town.broker_dir):
            found = [str(path) for path in files_holding(folder, marker)]
            expect(f"the {name} is in no file of {folder.name}", [], found)
        stores = (town.kiosk_dir / "data").glob("journal.db*"), town.kiosk_dir.glob("mirror.db*")
        plain = [path.name for paths in stores for path in paths if marker in path.read_bytes()]
        expect(f"the {name} is in no store of the kiosk", [], plain)
    journal = town.kiosk_dir / "data" / "journal.db"
    expect("the kiosk's journal is encrypted", False, journal.read_bytes().startswith(PLAIN))
    tell.say(
        f"代理共转发 {heard[0]} 上行 {heard[1]} 下行消息，其中及其文件中没有明文个人信息",
        f"of {heard[0]} messages up and {heard[1]} down, and in the files behind them, nothing "
        "of a person or vehicle is readable",
    )

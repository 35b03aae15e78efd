"""The mirror's side: pages of the core, each of which is there wholly or not at all.

Place in the flow: machine → **pages** (mirror) → life.

* After a cut a scope is as its last applied page says, or as the page says that was under way.
* A page that does not match its checksum changes nothing; its scope is dropped and fetched anew.
* A note is the last one that was noted, or the one that was under way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.codec import encode
from edge.errors import PeerError
from edge.mirror import Mirror, checksum
from tests.powercut.machine import START_US, require

if TYPE_CHECKING:
    from edge.store import Store
    from tests.powercut.machine import Machine

SCOPES: Final = ("rates", "people")
KEYS: Final = 12
WRONG: Final = 0.1
NOTED: Final = 0.3
Scope = tuple[int, dict[str, Any]]
NOTHING: Final[Scope] = (-1, {})


class Pages:
    """Applies pages, and knows what each scope may hold.

    Args:
        machine: Whose mirror it is.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.may: dict[str, list[Scope]] = {scope: [NOTHING] for scope in SCOPES}
        self.notes: list[int | None] = [None]
        self.store: Store
        self.mirror: Mirror

    def boot(self, store: Store) -> None:
        """Opens the mirror and checks that each scope is whole.

        Raises:
            Violation: A scope holds half a page, or an older one than was promised.
        """
        self.store = store
        self.mirror = Mirror(store)
        cursors = self.mirror.cursors()
        for scope, may in self.may.items():
            held = (cursors.get(scope, -1), self.mirror.items(scope))
            told = f"{scope} is at {held[0]} with {len(held[1])} items."
            require(held in may, "lost", "A page is applied wholly or not at all.", told)
            self.may[scope] = [held]
        note = self.mirror.noted("mark")
        require(note in self.notes, "lost", "A note is there after a cut.", note)
        self.notes = [note]

    def step(self) -> None:
        """Applies a page, a wrong one now and then, or notes something."""
        if self.machine.chance.random() < NOTED:
            self._note()
            return
        scope = self.machine.chance.choice(SCOPES)
        held = self.may[scope][0]
        page, after = self._page(scope, held)
        wrong = self.machine.chance.random() < WRONG
        if wrong:
            page["checksum"], after = bytes(32), NOTHING
        self.may[scope] = [held, after]
        try:
            self.apply(page)
        except PeerError:
            assert wrong
        self.machine.moment()
        self.may[scope] = [after]

    def apply(self, page: dict[str, Any]) -> None:
        """Applies a page."""
        self.mirror.apply(page)

    def _note(self) -> None:
        number = (self.notes[0] or 0) + 1
        self.notes = [self.notes[0], number]
        self.mirror.note("mark", number)
        self.machine.moment()
        self.notes = [number]

    def _page(self, scope: str, held: Scope) -> tuple[dict[str, Any], Scope]:
        chance = self.machine.chance
        cursor, items = held
        snapshot = cursor < 0 or chance.random() < 0.2
        upserts = [
            [f"key {number:02}", chance.randbytes(chance.choice((4, 60, 600)))]
            for number in chance.sample(range(KEYS), chance.randint(1, 6))
        ]
        left = {} if snapshot else dict(items)
        left |= {str(key): value for key, value in upserts}
        gone = [key for key in sorted(left) if chance.random() < 0.1]
        after = {key: value for key, value in left.items() if key not in gone}
        page = {
            "scope": scope, "cursor": cursor + 1, "upserts": upserts, "tombstones": gone,
            "checksum": checksum((key, encode(value)) for key, value in after.items()),
            "as_of_us": START_US, "snapshot": snapshot,
        }  # fmt: skip
        return page, (cursor + 1, after)

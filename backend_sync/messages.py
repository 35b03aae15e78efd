"""What agent and core say to each other: built here, and read here with nothing taken on trust.

Place in the flow: **messages** → protocol → agent, core. Sans-IO, both roles.

```
device → core   POST /v1/devices/{device}/journal
    Sign1(kid = device, aad = path)
      {v: 1, device, epoch, first, last, head, entries: deflate(encode([entry bytes, ...]))}
core → device
    Sign1(kid = "core", aad = path)
      200 {type: "received", device, epoch, seq, head, next_contact_s}
      409 {type: "gap",      device, epoch, seq, head}       send again from seq + 1
      423 {type: "fork",     device, epoch, seq, head}       two branches: a person must look
      4xx {type: "error",    code, message}

device → core   POST /v1/devices/{device}/downlink
    Sign1(kid = device, aad = path)
      {v: 1, device, cursors: {scope: n}, nonce, journal: {epoch, seq, head}, counter, wall_us}
core → device
    Sign1(kid = "core", aad = path)
      {type: "pages",
       z: deflate(encode({pages: [page, ...], nonce, now_us, next_contact_s, more, halt}))}
    page = {scope, cursor, upserts: [[key, value], ...], tombstones: [key, ...], checksum,
            as_of_us, snapshot}
```

* A reader raises `PeerError` on anything that is not exactly this: an unknown or missing field, a
  wrong type, a number out of range, a signature by or for somebody else.
* The path is authenticated with every message: an answer to one device is none to another.
* Hashes of entries are never sent; the receiver computes them. Only the head is signed.
* A pages answer echoes the nonce of its request: an old one cannot be played again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.codec import decode, deflate, encode, inflate
from edge.errors import LocalError, PeerError
from edge.keys import open_evidence, sign_evidence
from edge.seal import read_sign1

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge.ports import Signer

    Verify = Callable[[bytes, bytes], None]

VERSION: Final = 1
CORE: Final = "core"
FRAME_BYTES_MAX: Final = 65_536
FRAME_INFLATED_BYTES_MAX: Final = 1_048_576
FRAME_ENTRIES_MAX: Final = 4_096
REQUEST_BYTES_MAX: Final = FRAME_BYTES_MAX
ANSWER_BYTES_MAX: Final = 8 * 1_048_576
PAGES_INFLATED_BYTES_MAX: Final = 32 * 1_048_576
PAGES_ITEMS_MAX: Final = 2_000_000
SCOPES_MAX: Final = 32
NONCE_BYTES: Final = 16
HEAD_BYTES: Final = 32
NUMBER_MAX: Final = 2**53
CONTACT_S_MAX: Final = 7 * 86_400
TEXT_MAX: Final = 2_000


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a device's journal: `head` is the chain hash after entry `seq` of `epoch`."""

    epoch: int
    seq: int
    head: bytes


UNREADABLE: Final = Position(1, NUMBER_MAX, bytes(HEAD_BYTES))
"""What a device says of a journal that it cannot read: a place that no core holds."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A run of journal entries, `first` to `last`, and the chain hash after the last."""

    device: str
    epoch: int
    first: int
    last: int
    head: bytes
    entries: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The core's answer to a frame.

    Attributes:
        type: `received`, `gap`, `fork` or `error`.
        at: What the core holds of the device; None with `error`.
        next_contact_s: When the core wants to hear again; 0 leaves it to the device.
        code: With `error`: stable reason.
        message: With `error`: a sentence for people.
    """

    type: str
    at: Position | None = None
    next_contact_s: int = 0
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A device's wish to hear what changed since its cursors, and where its journal stands.

    `wall_us` is the device's own time, which it will not go back behind when it judges a lease.
    `counter` is its monotonic counter, read while the journal stood there; 0 when it has none.
    """

    device: str
    cursors: Mapping[str, int]
    nonce: bytes
    journal: Position
    wall_us: int
    counter: int = 0


@dataclass(frozen=True, slots=True)
class Pages:
    """What changed, by scope; `more` says that another request brings the rest.

    `halt` tells a device that it is quarantined, and why: `fork` or `rollback`; else it is empty.
    """

    pages: Sequence[Mapping[str, Any]]
    nonce: bytes
    now_us: int
    next_contact_s: int
    more: bool = False
    halt: str = ""


def journal_path(device: str) -> str:
    """Returns the path to which a device posts its journal."""
    return f"/v1/devices/{device}/journal"


def downlink_path(device: str) -> str:
    """Returns the path on which a device asks for its pages."""
    return f"/v1/devices/{device}/downlink"


# ------------------------------------------------------------------ journal frames
def sign_frame(signer: Signer, frame: Frame) -> bytes:
    """Returns the bytes of a frame, signed by its device.

    Raises:
        LocalError: The frame is longer than `FRAME_BYTES_MAX`; take fewer entries.
    """
    record = {
        "v": VERSION,
        "device": frame.device,
        "epoch": frame.epoch,
        "first": frame.first,
        "last": frame.last,
        "head": frame.head,
        "entries": deflate(encode(list(frame.entries))),
    }
    message = sign_evidence(signer, record, journal_path(frame.device))
    if len(message) > FRAME_BYTES_MAX:
        raise LocalError("The frame is too long; send fewer entries at once.", "frame-size")
    return message


def open_frame(message: bytes, verify: Verify, device: str) -> Frame:
    """Verifies and reads a frame.

    Args:
        message: At most `FRAME_BYTES_MAX` bytes.
        verify: Checks against the registered key of `device`.
        device: The device named by the path.

    Raises:
        PeerError: Not a well-formed frame, signed by that device, for that path.
    """
    require_size(message, FRAME_BYTES_MAX)
    fields = _Fields(open_evidence(message, verify, journal_path(device), device))
    fields.version()
    frame = Frame(
        fields.same("device", device),
        fields.number("epoch", 1),
        fields.number("first", 1),
        fields.number("last", 1),
        fields.octets("head", HEAD_BYTES),
        _entries(fields.octets("entries")),
    )
    fields.finish()
    if len(frame.entries) != frame.last - frame.first + 1:
        raise PeerError("A frame must carry exactly the entries first to last.", "frame-count")
    return frame


def _entries(packed: bytes) -> tuple[bytes, ...]:
    entries = decode(inflate(packed, FRAME_INFLATED_BYTES_MAX))
    if not isinstance(entries, list) or not 0 < len(entries) <= FRAME_ENTRIES_MAX:
        raise PeerError("A frame carries a list of entries, not empty.", "frame-entries")
    if not all(isinstance(entry, bytes) for entry in entries):
        raise PeerError("Every entry of a frame is a byte string.", "frame-entries")
    return tuple(entries)


# ------------------------------------------------------------------ answers
def sign_answer(signer: Signer, path: str, device: str, answer: Answer) -> bytes:
    """Returns the bytes of an answer, signed by the core."""
    if answer.type == "error" or answer.at is None:
        record: dict[str, Any] = {"code": answer.code, "message": answer.message[:TEXT_MAX]}
    else:
        at = answer.at
        record = {"device": device, "epoch": at.epoch, "seq": at.seq, "head": at.head}
        if answer.type == "received":
            record["next_contact_s"] = answer.next_contact_s
    return sign_evidence(signer, {"type": answer.type, **record}, path)


def open_answer(message: bytes, verify: Verify, path: str, device: str) -> Answer:
    """Verifies and reads the core's answer to a frame.

    Raises:
        PeerError: Not a well-formed answer, signed by the core, for that path and device.
    """
    require_size(message, FRAME_BYTES_MAX)
    fields = _Fields(open_evidence(message, verify, path, CORE))
    kind = fields.text("type")
    if kind == "error":
        answer = Answer(kind, code=fields.text("code"), message=fields.text("message"))
    elif kind in {"received", "gap", "fork"}:
        fields.same("device", device)
        contact = fields.number("next_contact_s", 0, CONTACT_S_MAX) if kind == "received" else 0
        answer = Answer(kind, fields.position(), contact)
    else:
        raise PeerError(f"The core answered with an unknown type {kind!r}.", "answer-type")
    fields.finish()
    return answer


# ------------------------------------------------------------------ downlink
def sign_request(signer: Signer, request: Request) -> bytes:
    """Returns the bytes of a downlink request, signed by its device."""
    at = request.journal
    record = {
        "v": VERSION,
        "device": request.device,
        "cursors": dict(request.cursors),
        "nonce": request.nonce,
        "journal": {"epoch": at.epoch, "seq": at.seq, "head": at.head},
        "counter": request.counter,
        "wall_us": request.wall_us,
    }
    return sign_evidence(signer, record, downlink_path(request.device))


def open_request(message: bytes, verify: Verify, device: str) -> Request:
    """Verifies and reads a downlink request.

    Raises:
        PeerError: Not a well-formed request, signed by that device, for that path.
    """
    require_size(message, REQUEST_BYTES_MAX)
    fields = _Fields(open_evidence(message, verify, downlink_path(device), device))
    fields.version()
    journal = _Fields(fields.mapping("journal"))
    request = Request(
        fields.same("device", device),
        _cursors(fields.mapping("cursors")),
        fields.octets("nonce", NONCE_BYTES),
        journal.position(),
        fields.number("wall_us", 0, 2**63 - 1),
        fields.number("counter", 0),
    )
    journal.finish()
    fields.finish()
    return request


def sign_pages(signer: Signer, device: str, pages: Pages) -> bytes:
    """Returns the bytes of a pages answer, signed by the core."""
    inner = {
        "pages": [dict(page) for page in pages.pages],
        "nonce": pages.nonce,
        "now_us": pages.now_us,
        "next_contact_s": pages.next_contact_s,
        "more": pages.more,
        "halt": pages.halt,
    }
    record = {"type": "pages", "z": deflate(encode(inner))}
    return sign_evidence(signer, record, downlink_path(device))


def open_pages(message: bytes, verify: Verify, device: str, nonce: bytes) -> Pages:
    """Verifies and reads the answer to a downlink request.

    Args:
        message: At most `ANSWER_BYTES_MAX` bytes.
        verify: Checks against the core's key.
        device: Who asked.
        nonce: That of the request; another one means an old answer.

    Raises:
        PeerError: Not well-formed, not by the core, not for this device or this request. With
            the code that the core gave, when it answered with an error.
    """
    require_size(message, ANSWER_BYTES_MAX)
    fields = _Fields(open_evidence(message, verify, downlink_path(device), CORE))
    if fields.text("type") == "error":
        raise PeerError(fields.text("message"), fields.text("code"))
    packed = inflate(fields.octets("z"), PAGES_INFLATED_BYTES_MAX)
    fields.finish()
    inner = _Fields(decode(packed, items_max=PAGES_ITEMS_MAX))
    if inner.octets("nonce", NONCE_BYTES) != nonce:
        raise PeerError("The answer belongs to another request; ask again.", "pages-nonce")
    pages = Pages(
        _pages(inner.take("pages")),
        nonce,
        inner.number("now_us", 0, 2**63 - 1),
        inner.number("next_contact_s", 0, CONTACT_S_MAX),
        inner.flag("more"),
        inner.text("halt"),
    )
    inner.finish()
    return pages


def _cursors(found: dict[Any, Any]) -> dict[str, int]:
    if len(found) > SCOPES_MAX:
        raise PeerError(f"A request names at most {SCOPES_MAX} scopes.", "request-cursors")
    if not all(isinstance(scope, str) for scope in found):
        raise PeerError("A request names its scopes by text.", "request-cursors")
    fields = _Fields(found)
    return {scope: fields.number(scope, 0) for scope in found}


def _pages(found: object) -> list[dict[str, Any]]:
    if not isinstance(found, list) or len(found) > SCOPES_MAX:
        raise PeerError(f"An answer has a list of at most {SCOPES_MAX} pages.", "pages-list")
    return [_page(_Fields(each)) for each in found]


def _page(fields: _Fields) -> dict[str, Any]:
    page = {
        "scope": fields.text("scope"),
        "cursor": fields.number("cursor", 0),
        "upserts": fields.take("upserts"),
        "tombstones": fields.take("tombstones"),
        "checksum": fields.octets("checksum", HEAD_BYTES),
        "as_of_us": fields.number("as_of_us", 0, 2**63 - 1),
        "snapshot": fields.flag("snapshot"),
    }
    fields.finish()
    upserts, tombstones = page["upserts"], page["tombstones"]
    if not isinstance(upserts, list) or not all(_is_pair(each) for each in upserts):
        raise PeerError("upserts is a list of [key, value].", "pages-upserts")
    if not isinstance(tombstones, list) or not all(isinstance(key, str) for key in tombstones):
        raise PeerError("tombstones is a list of keys.", "pages-tombstones")
    return page


def _is_pair(each: object) -> bool:
    return (
        isinstance(each, list) and len(each) == len(("key", "value")) and isinstance(each[0], str)
    )


# ------------------------------------------------------------------ reading outside bytes
def claimed_sender(message: bytes, size_max: int) -> str:
    """Returns who a message says it is from. Not verified: only good for finding a key.

    Raises:
        PeerError: Too long, or no COSE_Sign1.
    """
    require_size(message, size_max)
    return read_sign1(message)[0]


def require_size(message: bytes, size_max: int) -> None:
    """Raises PeerError when a message is longer than it may be."""
    if len(message) > size_max:
        raise PeerError(f"The message is longer than {size_max} bytes.", "too-large")


class _Fields:
    """Takes the fields of a decoded map one by one; `finish` refuses what nobody took."""

    def __init__(self, record: object) -> None:
        if not isinstance(record, dict):
            raise PeerError("The message is not a map.", "message-shape")
        self._record = record
        self._left = set(record)

    def take(self, name: str) -> Any:  # noqa: ANN401 - outside data, the caller checks its type
        if name not in self._record:
            raise PeerError(f"The message lacks {name}.", "message-field")
        self._left.discard(name)
        return self._record[name]

    def text(self, name: str) -> str:
        value = self.take(name)
        if not isinstance(value, str) or len(value) > TEXT_MAX:
            raise PeerError(f"{name} must be text.", "message-field")
        return value

    def same(self, name: str, expected: str) -> str:
        if self.text(name) != expected:
            raise PeerError(f"{name} is not the one this message was sent for.", "message-address")
        return expected

    def number(self, name: str, low: int, high: int = NUMBER_MAX) -> int:
        value = self.take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise PeerError(f"{name} must be an integer from {low} to {high}.", "message-field")
        return value

    def octets(self, name: str, length: int | None = None) -> bytes:
        value = self.take(name)
        if not isinstance(value, bytes) or length not in {None, len(value)}:
            raise PeerError(f"{name} must be {length or 'some'} bytes.", "message-field")
        return value

    def flag(self, name: str) -> bool:
        value = self.take(name)
        if not isinstance(value, bool):
            raise PeerError(f"{name} must be true or false.", "message-field")
        return value

    def mapping(self, name: str) -> dict[Any, Any]:
        value = self.take(name)
        if not isinstance(value, dict):
            raise PeerError(f"{name} must be a map.", "message-field")
        return value

    def position(self) -> Position:
        return Position(
            self.number("epoch", 1), self.number("seq", 0), self.octets("head", HEAD_BYTES)
        )

    def version(self) -> None:
        if self.take("v") != VERSION:
            raise PeerError("The other side speaks another version; update it.", "version")

    def finish(self) -> None:
        if self._left:
            raise PeerError(f"Unknown fields: {sorted(map(str, self._left))}.", "message-field")

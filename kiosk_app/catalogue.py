"""Which services this kiosk offers: a signed manifest, staged, wholly checked, then swapped in.

Place in the flow: core → agent → mirror → **catalogue** → flow.

    manifest   evidence of kid "catalogue", topic "lastmile catalogue":
               {type "catalogue", target, seq, valid_from_us, valid_to_us, services: {id: sha256}}
    blobs      scope `blobs`: sha256 → exact bytes of a service document

* Nothing is offered before signature, target, validity, every hash and every document have held.
* `seq` never goes back: the highest one is in the journal's store, which outlives the mirror.
* What is offered is kept in that store too, so that a mirror that is thrown away costs nothing.
* The swap is one transaction, made only while no customer is served.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import PeerError
from edge.keys import open_evidence, verifier
from edge.purposes import CATALOGUE_TOPIC
from edge.sqlite import Migrations
from edge.store import create_tables
from kiosk_app.service_checks import read_service
from kiosk_app.words import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.mirror import MirrorReader
    from edge.sqlite import Database
    from edge.store import Store
    from kiosk_app.service import Service

CATALOGUE_KID: Final = "catalogue"
SERVICES_MAX: Final = 40
HASH_DIGITS: Final = 64
MIGRATIONS = Migrations("kiosk-catalogue")


@MIGRATIONS()
def catalogue_001(database: Database) -> None:
    """The manifest in force and its documents."""
    create_tables(
        database,
        """CREATE TABLE catalogue_pointer (
            id       INTEGER PRIMARY KEY CHECK (id = 1),
            seq      INTEGER NOT NULL CHECK (seq >= 1),
            manifest BLOB    NOT NULL
        )""",
        """CREATE TRIGGER catalogue_forward BEFORE UPDATE ON catalogue_pointer
            WHEN new.seq < old.seq
            BEGIN SELECT RAISE(ABORT, 'a catalogue never goes back'); END""",
        "CREATE TABLE catalogue_documents (sha256 TEXT PRIMARY KEY, content BLOB NOT NULL)",
    )


class CatalogueError(PeerError):
    """A catalogue that is not taken; `text` tells the operator why."""

    def __init__(self, code: str) -> None:
        self.text = REFUSALS[code]
        super().__init__(self.text.en, code)


REFUSALS: Final[Mapping[str, Text]] = {
    "catalogue-signature": Text(
        "新业务目录的签名无效，继续使用原目录。请联系银行。",
        "A new catalogue is not signed by the bank; the old one stays. Call the bank.",
    ),
    "catalogue-target": Text(
        "新业务目录属于另一台终端，继续使用原目录。请联系银行。",
        "A new catalogue is for another kiosk; the old one stays. Call the bank.",
    ),
    "catalogue-older": Text(
        "收到的业务目录比现用的旧，继续使用原目录。请联系银行。",
        "The catalogue that came is older than the present one, which stays. Call the bank.",
    ),
    "catalogue-validity": Text(
        "收到的业务目录不在有效期内，继续使用原目录。请联网更新。",
        "The catalogue that came is not valid now; the old one stays. Connect to the network.",
    ),
    "catalogue-blob": Text(
        "新业务目录不完整，继续使用原目录。下次联网时补齐。",
        "A new catalogue is incomplete; the old one stays until the rest has come.",
    ),
    "catalogue-service": Text(
        "新业务目录中有不合格的业务，继续使用原目录。请联系银行。",
        "A service of the new catalogue is faulty; the old one stays. Call the bank.",
    ),
}


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is offered.

    Attributes:
        seq: Of its manifest.
        valid_to_us: It is not offered after this.
        services: By id, in the order of the ids.
    """

    seq: int
    valid_from_us: int
    valid_to_us: int
    services: Mapping[str, Service]

    def offers(self, now_us: int) -> bool:
        """Whether it is valid."""
        return self.valid_from_us <= now_us <= self.valid_to_us


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    target: str
    seq: int
    valid_from_us: int
    valid_to_us: int
    services: dict[str, str]


def open_manifest(message: bytes, public: bytes, kiosk: str) -> _Manifest:
    """Opens a signed manifest.

    Raises:
        CatalogueError: Forged, malformed, or for another kiosk.
    """
    try:
        record = open_evidence(message, verifier(public), CATALOGUE_TOPIC, CATALOGUE_KID)
        manifest = msgspec.convert(record, _Manifest)
    except (PeerError, msgspec.ValidationError) as error:
        raise CatalogueError("catalogue-signature") from error
    sound = manifest.type == "catalogue" and 0 < len(manifest.services) <= SERVICES_MAX
    if not sound or manifest.seq < 1:
        raise CatalogueError("catalogue-signature")
    if manifest.target != kiosk:
        raise CatalogueError("catalogue-target")
    return manifest


class Shelf:
    """The catalogue of one kiosk, kept in the journal's store.

    Args:
        store: Opened with `MIGRATIONS`.
        public: Public key of the catalogue signer.
        kiosk: Our id.
    """

    def __init__(self, store: Store, public: bytes, kiosk: str) -> None:
        self._store = store
        self._public = public
        self._kiosk = kiosk
        self.current: Catalogue | None = self._load()

    def update(self, mirror: MirrorReader, now_us: int) -> bool:
        """Takes up a newer catalogue of the mirror; call it only while no session is open.

        Returns:
            Whether another catalogue is offered now.

        Raises:
            CatalogueError: What came is not taken; the old one stays.
        """
        message = mirror.get("catalogue", "current")
        if message is None:
            return False
        if not isinstance(message, bytes):
            raise CatalogueError("catalogue-signature")
        manifest = open_manifest(message, self._public, self._kiosk)
        seq = self.current.seq if self.current else self._highest()
        if manifest.seq == seq and self.current is not None:
            return False
        if manifest.seq < seq:
            raise CatalogueError("catalogue-older")
        if not manifest.valid_from_us <= now_us <= manifest.valid_to_us:
            raise CatalogueError("catalogue-validity")
        contents = {name: _blob(mirror, digest) for name, digest in manifest.services.items()}
        staged = _staged(manifest, contents)
        self._swap(message, staged, contents)
        return True

    def _swap(self, message: bytes, staged: Catalogue, contents: Mapping[str, bytes]) -> None:
        rows = [(staged.services[name].sha256, content) for name, content in contents.items()]
        with self._store.transaction():
            self._store.execute("DELETE FROM catalogue_documents")
            self._store.execute_many(
                "INSERT OR REPLACE INTO catalogue_documents VALUES (?, ?)", rows
            )
            self._store.execute(
                "INSERT INTO catalogue_pointer (id, seq, manifest) VALUES (1, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, manifest = excluded.manifest",
                (staged.seq, message),
            )
        self.current = staged

    def _highest(self) -> int:
        row = self._store.row("SELECT seq FROM catalogue_pointer")
        return int(row["seq"]) if row else 0

    def _load(self) -> Catalogue | None:
        """Reads back what was offered; what does not hold any more is not offered."""
        row = self._store.row("SELECT manifest FROM catalogue_pointer")
        if row is None:
            return None
        rows = self._store.rows("SELECT sha256, content FROM catalogue_documents")
        kept = {each["sha256"]: bytes(each["content"]) for each in rows}
        try:
            manifest = open_manifest(bytes(row["manifest"]), self._public, self._kiosk)
            return _staged(manifest, {n: kept.get(d, b"") for n, d in manifest.services.items()})
        except CatalogueError:
            return None


def _blob(mirror: MirrorReader, digest: str) -> bytes:
    value = mirror.get("blobs", digest)
    if not isinstance(value, bytes) or hashlib.sha256(value).hexdigest() != digest:
        raise CatalogueError("catalogue-blob")
    return value


def _staged(manifest: _Manifest, contents: Mapping[str, bytes]) -> Catalogue:
    services: dict[str, Service] = {}
    for name in sorted(contents):
        content = contents[name]
        if hashlib.sha256(content).hexdigest() != manifest.services[name]:
            raise CatalogueError("catalogue-blob")
        try:
            service = read_service(content)
        except PeerError as error:
            raise CatalogueError("catalogue-service") from error
        if service.id != name:
            raise CatalogueError("catalogue-service")
        services[name] = service
    return Catalogue(manifest.seq, manifest.valid_from_us, manifest.valid_to_us, services)

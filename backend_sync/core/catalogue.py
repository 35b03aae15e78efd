"""Service documents on their way to kiosks: stored by hash, named by a signed manifest.

Place in the flow: `lastmile-core catalogue publish` → **catalogue** → downlink → kiosk's mirror.

* A manifest names services by the SHA-256 of their exact bytes; blobs go down before it.
* `seq` rises by one per target and never goes back; publishing the same services again is free.
* The catalogue key signs nothing but manifests, so that it can live offline.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from backend_sync.core.downlink import Item, publish
from backend_sync.core.registry import find_device
from edge.codec import decode
from edge.errors import LocalError
from edge.keys import sign_evidence
from edge.purposes import CATALOGUE_TOPIC
from edge.seal import read_sign1

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from backend_sync.core.database import Connection
    from edge.ports import Signer

DOCUMENT_BYTES_MAX: Final = 262_144
DAY_US: Final = 86_400_000_000


def read_documents(paths: Sequence[Path]) -> dict[str, bytes]:
    """Reads service documents, keyed by the id that each gives itself.

    Raises:
        LocalError: A file is not a JSON object with a text `id`, too large, or an id comes twice.
    """
    documents: dict[str, bytes] = {}
    for path in paths:
        content = _read(path)
        name = _service_id(path, content)
        if name in documents:
            raise LocalError(f"Two of the files say they are service {name!r}.", "service-twice")
        documents[name] = content
    return documents


def publish_catalogue(
    connection: Connection,
    signer: Signer,
    kiosk: str,
    documents: Mapping[str, bytes],
    now_us: int,
    days: int,
) -> int:
    """Signs a manifest for a kiosk and sends it and its documents down.

    Args:
        connection: Outside of a transaction.
        signer: The catalogue's own identity.
        kiosk: Whom it is for.
        documents: Service id → exact bytes; together they are all that the kiosk will offer.
        now_us: The present, microseconds UTC.
        days: How long the manifest is valid.

    Returns:
        The manifest's seq; that of the present one when it names the same services already.

    Raises:
        LocalError: No such kiosk, or no document.
    """
    device = find_device(connection, kiosk)
    if device is None or device.kind != "kiosk" or not documents:
        raise LocalError("A catalogue needs a registered kiosk and a document.", "catalogue-target")
    services = {name: hashlib.sha256(content).hexdigest() for name, content in documents.items()}
    with connection.transaction():
        connection.execute("SELECT FROM devices WHERE device = %s FOR NO KEY UPDATE", [kiosk])
        seq, present = _present(connection, kiosk)
        if present.get("services") == services and present["valid_to_us"] > now_us:
            return seq
        record = {
            "type": "catalogue",
            "target": kiosk,
            "seq": seq + 1,
            "valid_from_us": now_us,
            "valid_to_us": now_us + days * DAY_US,
            "services": services,
        }
        manifest = sign_evidence(signer, record, CATALOGUE_TOPIC)
        _store(connection, kiosk, seq + 1, manifest, documents, now_us)
        _send(connection, kiosk, manifest, present, services, documents)
    return seq + 1


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LocalError(f"{path} cannot be read ({error.strerror}).", "service-file") from error


def _service_id(path: Path, content: bytes) -> str:
    if len(content) > DOCUMENT_BYTES_MAX:
        raise LocalError(f"{path} is longer than {DOCUMENT_BYTES_MAX} bytes.", "service-size")
    try:
        document = json.loads(content)
    except ValueError as error:
        raise LocalError(f"{path} is not JSON: {error}.", "service-json") from error
    name = document.get("id") if isinstance(document, dict) else None
    if not isinstance(name, str) or not name:
        raise LocalError(f"{path} has no service id.", "service-json")
    return name


def _present(connection: Connection, kiosk: str) -> tuple[int, dict[str, Any]]:
    row = connection.execute(
        "SELECT seq, manifest FROM catalogues WHERE target = %s ORDER BY seq DESC LIMIT 1", [kiosk]
    ).fetchone()
    if row is None:
        return 0, {}
    return int(row[0]), dict(decode(read_sign1(bytes(row[1]))[1]))


def _store(
    connection: Connection,
    kiosk: str,
    seq: int,
    manifest: bytes,
    documents: Mapping[str, bytes],
    now_us: int,
) -> None:
    connection.execute(
        "INSERT INTO catalogues (target, seq, manifest, added_us) VALUES (%s, %s, %s, %s)",
        [kiosk, seq, manifest, now_us],
    )
    contents = list(documents.values())
    connection.execute(
        "INSERT INTO blobs (sha256, content) SELECT * FROM unnest(%s::text[], %s::bytea[]) "
        "ON CONFLICT DO NOTHING",
        [[hashlib.sha256(each).hexdigest() for each in contents], contents],
    )


def _send(
    connection: Connection,
    kiosk: str,
    manifest: bytes,
    present: Mapping[str, Any],
    services: Mapping[str, str],
    documents: Mapping[str, bytes],
) -> None:
    """Blobs that no manifest names any longer are taken back."""
    stale = set(present.get("services", {}).values()) - set(services.values())
    publish(
        connection,
        [
            Item(kiosk, "catalogue", "current", manifest),
            *(Item(kiosk, "blobs", services[name], documents[name]) for name in services),
            *(Item(kiosk, "blobs", sha256, None) for sha256 in stale),
        ],
    )

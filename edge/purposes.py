"""What a signature or a seal is for: the words that both ends must spell alike.

Place in the flow: codec → **purposes** → kiosk, PIN pad, provisioning and core.

* A signature for one purpose is none for another, because its purpose is authenticated with it.
* What two packages that never import one another compute alike stands here, once.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from edge.seal import read_sign1

# Topics of evidence that travels inside other messages (aad of COSE_Sign1).
LEASE_TOPIC: Final = "lastmile lease"
CATALOGUE_TOPIC: Final = "lastmile catalogue"
PIN_ANSWER_TOPIC: Final = "lastmile pin answer"
POLICY: Final = "lastmile policy"
DAY_CLOSED: Final = "lastmile day-closed"
JOURNAL_EVIDENCE: Final = "lastmile journal evidence"
CAMPAIGN: Final = "lastmile campaign"
COMMAND: Final = "lastmile command"
ROSTER: Final = "lastmile roster"
GRADE: Final = "lastmile grade"

# Infos of HPKE: what was sealed for one of them opens for no other.
PIN_INFO: Final = b"lastmile pin verifier"
STORED_PIN_INFO: Final = b"lastmile stored pin verifier"
LOOKUP_INFO: Final = b"lastmile lookup key"
PRIVATE_INFO: Final = b"lastmile private statement"

# Names of a vault's keys: kiosk and agent open the same two files.
JOURNAL_KEY: Final = "journal"
MIRROR_KEY: Final = "mirror"


def id_key(lookup_key: bytes, id_number: str) -> str:
    """Returns what stands for an ID number: HMAC-SHA256, hexadecimal.

    Args:
        lookup_key: Known to the core and its kiosks alone.
        id_number: As printed on the card; `x` and `X` are the same check character.
    """
    return hmac.new(lookup_key, id_number.upper().encode(), hashlib.sha256).hexdigest()


def answer_id(answer: bytes) -> bytes:
    """Returns what tells PIN answers apart: SHA-256 of what was signed, as a signature can vary.

    Raises:
        PeerError: It is no signed answer.
    """
    return hashlib.sha256(read_sign1(answer)[1]).digest()

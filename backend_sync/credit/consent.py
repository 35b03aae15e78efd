"""Whether a person's data may be used now: the gate before every feature of theirs.

Place in the flow: consent evidence (signed at the box, kept by telemetry) → **consent** → grade.

* The latest word counts: of all evidence for one subject and purpose, the last one given decides.
* A withdrawal takes effect at its own instant; from then on the core uses nothing of that subject.
* No live consent means *missing*, never a worse grade: no feature is read, and nobody is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

DRIVING_GRADE = "driving-grade"


@dataclass(frozen=True, slots=True)
class Consent:
    """One signed statement of a person about one use of their data.

    Attributes:
        subject: Pseudonym of the person.
        purpose: What the data may be used for.
        text_sha256: Hash of the exact text they were shown, hexadecimal.
        language: Language of that text.
        given_us: When they said so, microseconds UTC.
        expires_us: End of a given consent, microseconds UTC.
        withdrawn: True when this statement ends the consent.
    """

    subject: str
    purpose: str
    text_sha256: str
    language: str
    given_us: int
    expires_us: int
    withdrawn: bool


def live_consent(
    statements: Iterable[Consent], subject: str, purpose: str, as_of_us: int
) -> Consent | None:
    """Returns the consent in force at `as_of_us` (microseconds UTC), or None.

    Two statements of the same instant: the withdrawal wins.
    """
    spoken = [
        each
        for each in statements
        if each.subject == subject and each.purpose == purpose and each.given_us <= as_of_us
    ]
    if not spoken:
        return None
    last = max(spoken, key=lambda each: (each.given_us, each.withdrawn))
    return None if last.withdrawn or last.expires_us <= as_of_us else last

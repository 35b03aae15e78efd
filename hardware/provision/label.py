"""The label on the housing: which device this is, and how to tell that it is the real one.

Place in the flow: installed certificate → **label** → printer, or the technician's pen.

* The fingerprint is that of the certificate, so the bank can compare it over the telephone.
* Nothing on a label is secret.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from hardware.provision.bundle import fingerprint

if TYPE_CHECKING:
    from cryptography import x509

    from hardware.provision.bundle import Owner

SHORT_BYTES: Final = 8


def short_fingerprint(certificate: x509.Certificate) -> str:
    """Returns the first 8 bytes of a certificate's SHA-256 in groups, to be read aloud."""
    digits = fingerprint(certificate)[:SHORT_BYTES].hex().upper()
    return "-".join(digits[i : i + 4] for i in range(0, len(digits), 4))


def label_text(owner: Owner, certificate: x509.Certificate) -> str:
    """Returns the lines of a label."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    life = f"since {begin:%Y-%m-%d}, renew before {end:%Y-%m-%d}"
    return "\n".join([f"Lastmile {owner.kind}", owner.device, short_fingerprint(certificate), life])


def label_code(owner: Owner, certificate: x509.Certificate) -> str:
    """Returns a QR code of id and fingerprint as text, empty where `segno` is not installed."""
    try:
        import segno
    except ImportError:
        return ""
    out = io.StringIO()
    words = f"LASTMILE:{owner.device}:{short_fingerprint(certificate)}"
    segno.make(words, error="m", micro=False).terminal(out=out, compact=True)
    return out.getvalue()

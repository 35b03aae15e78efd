"""What is wrong with a box, in the words of whoever has to mend it: wiring, keys, broker, disk.

Place in the flow: technician → **doctor** (listens, looks, says) → technician.

    bad     the box cannot work like this
    odd     it works, but something is not as it should be
    good    looked at, and right

* Every finding that is not good says what to do next. Nothing is changed, nothing is asked on the
  bus, and nothing of a person is read.
* The judgements are functions of what was heard; who listens stands in `__main__`.
"""

from __future__ import annotations

import shutil
import socket
import ssl
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from edge.certificates import ends_us
from edge.errors import LastmileError
from edge.ports import EXTENDED_ID, LINE_ID, NMEA_LINE
from vehicle_gateway.mqtt import tls_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edge.ports import Clock, FrameChunk, FrameSource
    from vehicle_gateway.decode import Decoded, Decoder
    from vehicle_gateway.mqtt import BrokerPlace

Level = Literal["bad", "odd", "good"]

WIRING: Final[Mapping[str, str]] = {
    "bus-off": "The controller left the bus: the bit rate is wrong, or the two wires are swapped.",
    "error-passive": "Most frames fail: check bit rate, termination (60 ohms between CAN-H and "
    "CAN-L with the vehicle off) and the length of the stub.",
    "error-bus": "Frames fail on the bus: check termination (60 ohms between CAN-H and CAN-L with "
    "the vehicle off) and the plug.",
    "bus-error": "Frames fail on the bus: check termination (60 ohms between CAN-H and CAN-L with "
    "the vehicle off) and the plug.",
    "error-warning": "Some frames fail: check the plug and the shield of the cable.",
    "error-unacknowledged": "Nobody acknowledges what the box asks: it is alone on these wires.",
    "error-protocol": "Bits arrive broken: the bit rate is wrong, or another box disturbs.",
    "controller-overrun": "The adapter is slower than the bus; use one with a larger buffer.",
    "adapter-overrun": "The adapter is slower than the bus; use one with a larger buffer.",
    "overrun": "The box was too busy to read; see what else runs on it.",
    "damaged-line": "Bytes arrive broken: check the baud rate and the serial cable.",
    "reopened": "The source was lost and opened again: check its plug and power.",
}
SECOND_US: Final = 1_000_000
UNKNOWN_PERCENT_MAX: Final = 95
DISK_MB_MIN: Final = 200
CERTIFICATE_US_MIN: Final = 14 * 86_400 * SECOND_US
CONNECT_S: Final = 5.0
ALERT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    what: str
    advice: str = ""


@dataclass(slots=True)
class Heard:
    """What one source said while the doctor listened.

    Attributes:
        frames: Of the bus, or sentences of a line.
        unknown: Those that neither profile nor standards know.
        samples: Values that were decoded.
        kinds: How many were of 11 bits, 29 bits, or of a line.
        counts: Why frames gave nothing, by reason.
        fault: What the source ended with, empty while it works.
    """

    name: str
    seconds: float = 0.0
    frames: int = 0
    unknown: int = 0
    samples: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    skipped: Mapping[str, int] = field(default_factory=dict)
    fault: str = ""

    def take(self, chunk: FrameChunk, decoded: Decoded) -> None:
        """Takes a chunk in."""
        self.frames += len(chunk.ids)
        self.unknown += decoded.unknown_frames
        self.samples += decoded.samples
        self.counts.update(decoded.counts)
        self.kinds.update(map(_kind, chunk.ids))


def listen(source: FrameSource, decoder: Decoder, clock: Clock, seconds: float) -> Heard:
    """Listens to a source for so long; asks nothing, keeps nothing."""
    heard = Heard(source.name)
    since_us = clock.now().monotonic_us
    try:
        for chunk in source.chunks():
            heard.take(chunk, decoder.decode(chunk))
            heard.seconds = (clock.now().monotonic_us - since_us) / SECOND_US
            if heard.seconds >= seconds:
                break
    except LastmileError as error:
        heard.fault = str(error)
    finally:
        source.close()
    heard.skipped = source.skipped
    return heard


def judge(heard: Heard, profile: str) -> list[Finding]:
    """Says what is wrong with a source, or that nothing is."""
    found = [
        Finding("odd", f"{heard.name}: {reason} ({count} times)", WIRING[reason])
        for reason, count in sorted(heard.skipped.items())
        if count and reason in WIRING
    ]
    if heard.fault:
        return [Finding("bad", heard.name, heard.fault), *found]
    if not heard.frames:
        return [_silence(heard, profile), *found]
    rate = heard.frames / max(heard.seconds, 0.001)
    said = f"{heard.name}: {rate:,.0f} frames/s, {heard.samples:,} values"
    found.append(_understanding(heard, profile, said))
    if heard.counts["gnss-no-fix"] and heard.kinds["NMEA"]:
        advice = "Bring the antenna where it sees the sky; the first fix takes some minutes."
        found.append(Finding("odd", f"{heard.name}: no fix yet", advice))
    return found


def _silence(heard: Heard, profile: str) -> Finding:
    advice = (
        "Turn the key on. If it stays silent: is it plugged in, is CAN-H on pin 6 and CAN-L on pin "
        "14, is the bit rate the bus's (500,000 for cars, 250,000 for buses and lorries)?"
    )
    if profile.startswith("obd"):
        advice += " A car behind a gateway of its own answers only when it is asked."
    return Finding("bad", f"{heard.name}: nothing was heard in {heard.seconds:.0f} s", advice)


def _understanding(heard: Heard, profile: str, said: str) -> Finding:
    if heard.unknown * 100 <= UNKNOWN_PERCENT_MAX * heard.frames:
        return Finding("good", said)
    if heard.kinds["29 bits"] * 2 > heard.frames and "fms" not in profile:
        advice = 'Most ids have 29 bits, as those of buses and lorries do: try profile = "fms_bus".'
    else:
        advice = (
            "The bus works, but the vehicle is another one than the profile's: choose its profile, "
            "or bring its DBC with [source] dbc."
        )
    return Finding("odd", f"{said}; {profile} knows hardly any of them", advice)


def look_at_files(files: Mapping[str, Path], data_dir: Path, now_us: int) -> list[Finding]:
    """Looks at what provisioning left, at the disk and at the certificate.

    Args:
        files: What must be readable, by the name of its key in gateway.toml.
        data_dir: Folder of the outbox.
        now_us: The present.
    """
    found = []
    for name, path in files.items():
        if not path.is_file():
            advice = "Install the bundle of this box: lastmile-provision install."
            found.append(Finding("bad", f"{name}: {path} is not there", advice))
    if "certificate" in files and files["certificate"].is_file():
        found.append(_certificate(files["certificate"], now_us))
    found.append(_disk(data_dir))
    return found


def _certificate(path: Path, now_us: int) -> Finding:
    until_us = ends_us(path)
    if until_us is None:
        return Finding("bad", f"{path} is no certificate", "Install the bundle of this box again.")
    days = (until_us - now_us) // (86_400 * SECOND_US)
    if until_us <= now_us:
        advice = "Renew it: lastmile-provision; or set the clock, if that is what is wrong."
        return Finding("bad", f"the certificate ended {-days} days ago", advice)
    level: Level = "good" if until_us - now_us >= CERTIFICATE_US_MIN else "odd"
    advice = "" if level == "good" else "Renew it before it ends: lastmile-provision."
    return Finding(level, f"the certificate holds {days} more days", advice)


def _disk(folder: Path) -> Finding:
    place = folder if folder.exists() else folder.parent
    try:
        free_mb = shutil.disk_usage(place).free // 1_000_000
    except OSError as error:
        return Finding("bad", f"{folder}: {error.strerror}", "Make the folder of the outbox.")
    if free_mb < DISK_MB_MIN:
        advice = "Free some space: nothing can be recorded on a full disk."
        return Finding("bad", f"{folder}: {free_mb} MB are free", advice)
    return Finding("good", f"{folder}: {free_mb:,} MB are free")


def look_at_broker(place: BrokerPlace) -> Finding:
    """Tries to connect as the gateway would, and says where it ends."""
    name = f"broker {place.host}:{place.port}"
    try:
        context = tls_context(place)
        with (
            socket.create_connection((place.host, place.port), CONNECT_S) as line,
            context.wrap_socket(line, server_hostname=place.host) as secure,
        ):
            _wait_for_alert(secure)
            return Finding("good", f"{name}: {secure.version()}, both certificates hold")
    except LastmileError as error:
        return Finding("bad", name, str(error))
    except socket.gaierror:
        return Finding("bad", f"{name}: no such name", "Check [broker] host and the box's DNS.")
    except ssl.SSLCertVerificationError as error:
        advice = "Its certificate is not of [broker] ca, has another name, or the clock is wrong."
        return Finding("bad", f"{name}: {error.verify_message}", advice)
    except ssl.SSLError as error:
        advice = "The broker does not take this box's certificate: renew it, or enrol it again."
        return Finding("bad", f"{name}: {error.reason or error}", advice)
    except TimeoutError:
        advice = "Is there signal? Does a firewall drop the port?"
        return Finding("bad", f"{name}: no answer in {CONNECT_S:.0f} s", advice)
    except OSError as error:
        advice = "Is there signal, is the broker up, is the port right?"
        return Finding("bad", f"{name}: {error.strerror or error}", advice)


def _wait_for_alert(secure: ssl.SSLSocket) -> None:
    """In TLS 1.3 a client's certificate is refused only after the handshake (RFC 8446 §4.4.2.4)."""
    secure.settimeout(ALERT_S)
    try:
        if not secure.recv(1):
            raise ssl.SSLError("it closed the connection")
    except TimeoutError:
        return  # it waits for our CONNECT


def report(findings: Sequence[Finding]) -> str:
    """Lays findings out for a terminal, the bad ones first."""
    order = {"bad": 0, "odd": 1, "good": 2}
    lines = []
    for each in sorted(findings, key=lambda finding: order[finding.level]):
        lines.append(f"{each.level:5} {each.what}")
        if each.advice:
            lines.append(f"      {each.advice}")
    return "\n".join(lines)


def _kind(can_id: int) -> str:
    if can_id & LINE_ID:
        return "NMEA" if can_id == NMEA_LINE else "line"
    return "29 bits" if can_id & EXTENDED_ID else "11 bits"

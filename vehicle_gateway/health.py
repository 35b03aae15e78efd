"""What a box tells of itself: to the core sealed, to Prometheus as a file, to systemd as a pulse.

Place in the flow: everything the loop knows → **health** → batch (sealed as data is), textfile,
watchdog.

    every 5 s    alive, to the supervisor       a loop that hangs is killed and started anew
    every 15 s   the textfile, replaced whole   for a node exporter on the box, if there is one
    every 15 min a health record                at the start, at the end, and when the core asks

* Numbers and short texts alone, at most `VITALS_MAX` of them; nothing of a person.
* A textfile that cannot be written is told of once and tried again: telemetry goes on without.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from edge.certificates import ends_us
from edge.gaps import PRIORITY_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edge.ports import FrameSource, Supervisor
    from vehicle_gateway.batch import Batcher
    from vehicle_gateway.config import HealthSection
    from vehicle_gateway.mqtt import Publisher
    from vehicle_gateway.power import Power

ALIVE_US: Final = 5_000_000
TEXTFILE_US: Final = 15_000_000
VITALS_MAX: Final = 64
SKIPPED_MAX: Final = 16
PREFIX: Final = "lastmile_gateway"

Vitals = dict[str, int | str]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Organs:
    """What there is to ask.

    Attributes:
        device: Id of the box.
        data_dir: Folder whose disk may fill up.
        certificate: PEM of the device; None where there is no broker.
        publisher: The connection; None where there is no broker.
        power: Ignition and supply, if anything is known of them.
        clock: What the clock's discipline tells; empty where nothing disciplines it.
        signal: The modem's strength in dBm, None where nobody tells.
    """

    device: str
    data_dir: Path
    batcher: Batcher
    source: FrameSource
    certificate: Path | None
    publisher: Publisher | None
    power: Power | None
    clock: Callable[[], Mapping[str, Any]]
    signal: Callable[[], int | None]


class Health:
    """Tells at its times.

    Args:
        organs: What there is to ask.
        supervisor: Whoever kills a loop that hangs.
        section: How often a record is sealed, and where the textfile lies.
    """

    def __init__(self, organs: Organs, supervisor: Supervisor, section: HealthSection) -> None:
        self._organs = organs
        self._sink = organs.batcher.sink
        self._supervisor = supervisor
        self._period_us = section.period_s * 1_000_000
        self._textfile = section.textfile
        self._since_us = self._sink.clock.now().monotonic_us
        self._alive_us = self._written_us = self._sealed_us = -self._period_us
        self._is_told = False

    def begin(self) -> None:
        """Start-up is over."""
        self._supervisor.ready()

    def step(self, *, seals: bool) -> None:
        """Tells whatever is due; called in every round of the loop.

        Args:
            seals: Whether the core is told: not of the replay of a recording.

        Raises:
            DeviceFault: The disk is full or failing.
        """
        now_us = self._sink.clock.now().monotonic_us
        if now_us - self._alive_us >= ALIVE_US:
            self._alive_us = now_us
            self._supervisor.alive(self._line())
        if self._textfile and now_us - self._written_us >= TEXTFILE_US:
            self._written_us = now_us
            self._write(self._textfile)
        if seals and now_us - self._sealed_us >= self._period_us:
            self.tell()

    def tell(self) -> None:
        """Seals a health record now.

        Raises:
            DeviceFault: The disk is full or failing; nothing was kept.
        """
        self._sealed_us = self._sink.clock.now().monotonic_us
        self._organs.batcher.seal_health(self.vitals())

    def end(self, *, seals: bool) -> None:
        """The loop ends: a last word to everybody.

        Args:
            seals: Whether the core is told.

        Raises:
            DeviceFault: The disk is full or failing.
        """
        self._supervisor.stopping()
        if seals:
            self.tell()
        if self._textfile:
            self._write(self._textfile)

    def vitals(self) -> Vitals:
        """Returns what there is to tell: name → number or text."""
        organs = self._organs
        now = self._sink.clock.now()
        found: dict[str, Any] = {
            "version": version(),
            "uptime_s": (now.monotonic_us - self._since_us) // 1_000_000,
            "wall_us": now.wall_us,
            "disk_free_mb": _free_mb(organs.data_dir),
            **_queue(self._sink.outbox.counts()),
            **organs.batcher.totals,
            **_skipped(organs.source.skipped),
            **{f"clock_{name}": value for name, value in organs.clock().items()},
            **_connection(organs.publisher, organs.certificate),
            **_power(organs.power),
            "signal_dbm": organs.signal(),
        }
        kept = [(name, value) for name, value in found.items() if isinstance(value, int | str)]
        return {name: int(v) if isinstance(v, bool) else v for name, v in kept[:VITALS_MAX]}

    # ------------------------------------------------------------ inside
    def _line(self) -> str:
        counts = self._sink.outbox.counts()
        publisher = self._organs.publisher
        frames = self._organs.batcher.totals["frames"]
        is_online = publisher is not None and publisher.is_connected
        state = "online" if is_online else "offline"
        return f"{state}, {counts['waiting']} waiting, {frames} frames"

    def _write(self, path: Path) -> None:
        draft = path.with_name(f".{path.name}.new")
        try:
            draft.write_text(metrics(self._organs.device, self.vitals()), encoding="utf-8")
            draft.replace(path)
        except OSError as error:
            if not self._is_told:
                log.warning("[health] textfile %s cannot be written: %s", path, error.strerror)
            self._is_told = True


def metrics(device: str, vitals: Mapping[str, int | str]) -> str:
    """Lays vitals out in Prometheus's text format (version 0.0.4).

    Numbers are gauges, texts are labels of one information metric.
    """
    lines = []
    for name, value in vitals.items():
        if isinstance(value, int):
            metric = f"{PREFIX}_{_plain(name)}"
            lines += [f"# TYPE {metric} gauge", f'{metric}{{device="{_quoted(device)}"}} {value}']
    texts = {name: value for name, value in vitals.items() if isinstance(value, str)}
    labels = ",".join(
        f'{_plain(name)}="{_quoted(value)}"' for name, value in {"device": device, **texts}.items()
    )
    lines += [f"# TYPE {PREFIX}_info gauge", f"{PREFIX}_info{{{labels}}} 1"]
    return "\n".join(lines) + "\n"


def version() -> str:
    """Returns the version of this program, `source` where it was not installed as a package."""
    try:
        return metadata.version("lastmile")
    except metadata.PackageNotFoundError:
        return "source"


def read_signal(path: Path | None) -> Callable[[], int | None]:
    """Returns what reads the modem's signal in dBm from the file its daemon writes."""

    def read() -> int | None:
        if path is None:
            return None
        try:
            strength = int(path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        return strength if -150 <= strength <= 0 else None

    return read


def _plain(name: str) -> str:
    return name.replace("-", "_").replace(".", "_")


def _quoted(text: str) -> str:
    printable = "".join(each if each.isprintable() else " " for each in text)
    return printable.replace("\\", r"\\").replace('"', r"\"")


def _free_mb(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free // 1_000_000
    except OSError:
        return None


def _queue(counts: Mapping[str, int]) -> dict[str, int]:
    found = {name: counts[name] for name in ("waiting", "bytes", "settled", "dropped", "aged")}
    dropped = {
        f"dropped_{name}": counts.get(f"dropped_{number}", 0)
        for number, name in enumerate(PRIORITY_NAMES[:3])
    }
    return {**found, **dropped, "aside": counts["aside"]}


def _skipped(skipped: Mapping[str, int]) -> dict[str, int]:
    """The most frequent reasons alone."""
    most = sorted(skipped.items(), key=lambda pair: (-pair[1], pair[0]))[:SKIPPED_MAX]
    return {f"skipped_{reason}": count for reason, count in most}


def _connection(publisher: Publisher | None, certificate: Path | None) -> dict[str, Any]:
    if publisher is None:
        return {}
    plan = publisher.data_plan.told() if publisher.data_plan else {}
    return {
        "online": publisher.is_connected,
        "broker": publisher.hand_over.current,
        "certificate_until_us": ends_us(certificate) if certificate else None,
        **plan,
    }


def _power(power: Power | None) -> dict[str, Any]:
    if power is None or power.reading is None:
        return {}
    return {"ignition": power.reading.ignition, "supply_mv": power.reading.supply_mv}

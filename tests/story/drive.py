"""A drive of a bus, from the driver's consent to a grade with its reasons.

Place in the flow: recording or simulated vehicle → `lastmile-gateway` → broker → core → **drive** →
`lastmile-core grade`.

* The gateway ends by itself once the core has signed for everything; only then is it graded.
* base + points are added up as they are printed; the sum must be the score.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.config import read_toml, write_config
from edge.errors import DeviceFault, LocalError
from hardware.drivers.can_log import LogSource
from tests.story.figures import expect, last_json
from tests.story.town import GATEWAY
from vehicle_gateway.campaign import default_campaign
from vehicle_gateway.dbc import load_dbc
from vehicle_gateway.decode import Decoder
from vehicle_gateway.profile import DEFAULT, load_profile, profile_names
from vehicle_gateway.replay import replay

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.story.narrator import Narrator
    from tests.story.town import Town

DRIVER = "driver-7f3a91"
DRIVE_S_MAX = 120.0
FLUSH_S_MAX = 60.0
CUT = {"truncated-line", "truncated-file", "unreadable-rest"}


@dataclass(frozen=True, slots=True)
class Source:
    """What the gateway plays.

    Attributes:
        log: A recording; None plays the simulated vehicle.
        dbcs: Further DBC files.
        sim_s: Seconds of the simulated drive, in virtual time.
    """

    log: Path | None = None
    dbcs: Sequence[Path] = ()
    sim_s: int = 600

    @property
    def options(self) -> list[str]:
        """The options of `lastmile-gateway run`."""
        dbcs = [option for path in self.dbcs for option in ("--dbc", str(path))]
        if self.log is None:
            return ["--sim", str(self.sim_s), *dbcs]
        return ["--log", str(self.log), *dbcs]

    @property
    def name(self) -> str:
        """The recording's name, or `simulator`."""
        return self.log.name if self.log else "simulator"


@dataclass(frozen=True, slots=True)
class Preview:
    """What a source holds, found out without box, broker or core.

    Attributes:
        profile: Name of the vehicle profile that reads most of it.
        figures: `frames`, `samples` and `events`; empty for the simulator.
    """

    profile: str
    figures: Mapping[str, int]


def preview(source: Source) -> Preview:
    """Reads a recording by every profile that the DBC files allow, the usual one first.

    Raises:
        LocalError: A file cannot be read, the recording ends in the middle, or nothing in it is
            known to any profile.
    """
    for path in source.dbcs:
        load_dbc(path)
    if source.log is None:
        return Preview(DEFAULT, {})
    names = [DEFAULT, *(name for name in profile_names() if name != DEFAULT)]
    frames = 0
    for name in names:
        figures = _replay(source.log, source.dbcs, name)
        frames = max(frames, figures["frames"])
        if figures["samples"]:
            return Preview(name, figures)
    raise LocalError(
        f"The log {source.log} has {frames:,} frames and none that a vehicle profile "
        f"({', '.join(names)}) knows; bring the DBC of this vehicle by --dbc.",
        "log-unknown",
    )


def _replay(log: Path, dbcs: Sequence[Path], profile: str) -> dict[str, int]:
    try:
        decoder = Decoder(load_profile(profile), dbcs)
    except LocalError:
        if profile == DEFAULT:
            raise
        return {"frames": 0, "samples": 0, "events": 0}  # it needs a DBC that was not given
    try:
        found = replay(LogSource(log), decoder, default_campaign())
    except DeviceFault as error:
        raise LocalError(str(error), error.code) from error
    if CUT & set(found["skipped"]):
        raise LocalError(
            f"The log {log} ends in the middle of a frame, after {found['frames']:,} whole ones; "
            "copy it again from the logger.",
            "log-cut",
        )
    return {**{name: found[name] for name in ("frames", "samples")}, "events": len(found["events"])}


def set_profile(town: Town, profile: str) -> None:
    """Sets the vehicle profile of the box, as a technician does."""
    settings = read_toml(town.gateway_config)
    source = {**settings.get("source", {}), "profile": profile}
    write_config(town.gateway_config, {**settings, "source": source})


def give_consent(town: Town) -> None:
    """The driver consents, at the box."""
    config = str(town.gateway_config)
    town.world.call(GATEWAY, "consent", "give", "--config", config, "--driver", DRIVER)


def start_drive(town: Town, source: Source) -> None:
    """Starts the gateway; it plays at full speed and ends when everything is settled."""
    config = str(town.gateway_config)
    town.world.start(
        "gateway", GATEWAY, "run", "--config", config, "--speed", "full", "--exit-when-settled",
        *source.options,
    )  # fmt: skip


def end_drive(town: Town) -> dict[str, Any]:
    """Waits until the gateway has ended and returns its last line.

    Raises:
        Surprise: It ended with anything but 0.
    """
    code = town.world.finish("gateway", DRIVE_S_MAX)
    expect(f"the gateway ends with 0; it said:\n{town.world.tail('gateway')}", 0, code)
    return last_json(town.world.said("gateway"))


def await_lake(town: Town) -> dict[str, Any]:
    """Waits until every stored batch is in the lake; returns the report of telemetry."""
    found: dict[str, Any] = {}

    def flushed() -> bool:
        found.update(town.report()["telemetry"])
        return bool(found["unflushed"] == 0 and found["waiting"] == 0)

    town.world.wait_until("every batch is in the lake", flushed, FLUSH_S_MAX)
    return found


def grade_driver(town: Town) -> dict[str, Any]:
    """Asks the core for the driver's grade."""
    found = json.loads(town.core("grade", "--driver", DRIVER, "--json"))
    assert isinstance(found, dict)
    return found


def tell_reasons(grade: dict[str, Any], narrator: Narrator, language: str) -> int:
    """Prints base, every reason and the score; returns base + points as printed."""
    total = int(grade["base"])
    narrator.say(f"{total:>6}  基础分", f"{total:>6}  base")
    for reason in grade["reasons"]:
        total += reason["points"]
        value = "-" if reason["value"] is None else f"{reason['value']:.3f}"
        line = f"{reason['points']:>+6}  {reason[language]} ({reason['feature']} = {value})"
        narrator.say(line, line)
    narrator.say(
        f"{total:>6}  得分，等级 {grade['grade']}", f"{total:>6}  score, grade {grade['grade']}"
    )
    return total

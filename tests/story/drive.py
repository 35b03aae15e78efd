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

from edge.errors import DeviceFault, LocalError
from hardware.drivers.can_log import LogSource
from tests.story.figures import expect, last_json
from tests.story.town import GATEWAY
from vehicle_gateway.campaign import default_campaign
from vehicle_gateway.dbc import load_dbc
from vehicle_gateway.decode import Decoder
from vehicle_gateway.profile import load_profile
from vehicle_gateway.replay import replay

if TYPE_CHECKING:
    from collections.abc import Sequence
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


def check_source(source: Source) -> int | None:
    """Reads a recording once and loads the DBC files; returns its frames, None for the simulator.

    Raises:
        LocalError: One cannot be read, or the recording ends in the middle.
    """
    for path in source.dbcs:
        load_dbc(path)
    if source.log is None:
        return None
    log = LogSource(source.log)
    try:
        frames = sum(len(chunk.ids) for chunk in log.chunks())
    except DeviceFault as error:
        raise LocalError(str(error), error.code) from error
    cut = sorted(CUT & set(log.skipped))
    if cut or not frames:
        raise LocalError(
            f"The log {source.log} ends in the middle of a frame ({', '.join(cut)}) after "
            f"{frames:,} whole ones; copy it again from the logger.",
            "log-cut",
        )
    return frames


def expected_figures(source: Source) -> dict[str, int]:
    """Returns `frames`, `samples` and `events` of a recording, read without box, broker or core."""
    if source.log is None:
        return {}
    decoder = Decoder(load_profile(), source.dbcs)
    found = replay(LogSource(source.log), decoder, default_campaign())
    return {
        "frames": found["frames"],
        "samples": found["samples"],
        "events": len(found["events"]),
    }


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

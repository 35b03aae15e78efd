"""Opens a door: its journal, and the folder of each terminal.

Place in the flow: door.toml, terminals' folders → **door_build** → door.

    door.toml            data/door.db  data/door.pem              the door's own
    terminals/<name>/    keys/  core/  gateway.toml  data/        one each, as of any box

* The door's own key seals its journal; it speaks for nobody.
* A folder that does not open stops the door: a terminal must not be acknowledged into nowhere.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from edge import outbox, policies
from edge.config import load_config
from edge.errors import LocalError
from edge.keys import FileIdentity, LocalSecret
from edge.store import open_store
from vehicle_gateway import batch, door_journal, door_terminal, driver, roster, signin
from vehicle_gateway.batch import Batcher, Vehicle
from vehicle_gateway.campaign import default_campaign, read_campaign
from vehicle_gateway.config import GatewayConfig
from vehicle_gateway.decode import Decoder
from vehicle_gateway.door import Door, DoorLimits
from vehicle_gateway.door_config import SETTINGS
from vehicle_gateway.door_journal import CodeBook, Journal
from vehicle_gateway.door_terminal import Pipeline, Terminal
from vehicle_gateway.profile import load_profile
from vehicle_gateway.provisioned import Provisioned
from vehicle_gateway.signin import SignIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.ports import Clock, Randomness
    from vehicle_gateway.door_config import DoorConfig, LimitsSection

PROFILE: Final = "jtt808"
JOURNAL: Final = "door.db"
KEY: Final = "door.pem"
STORE: Final = "outbox.db"
SECOND_US: Final = 1_000_000
TERMINAL_MIGRATIONS: Final = (
    *(outbox.MIGRATIONS, policies.MIGRATIONS, batch.MIGRATIONS, driver.MIGRATIONS),
    *(roster.MIGRATIONS, signin.MIGRATIONS, door_terminal.MIGRATIONS),
)


@contextlib.contextmanager
def open_door(config: DoorConfig, clock: Clock, randomness: Randomness) -> Iterator[Door]:
    """Opens a door, and closes it in good order.

    Raises:
        LocalError: A folder is not provisioned, or another program writes its store.
        DeviceFault: A disk is full or failing.
    """
    data_dir = config.door.data_dir
    with open_store(data_dir / JOURNAL, [door_journal.MIGRATIONS]) as store:
        secret = LocalSecret(_own_key(data_dir / KEY), door_journal.SEALED_FOR, randomness)
        journal = Journal(store, secret)
        terminals: dict[str, Terminal] = {}
        devices: dict[str, str] = {}
        try:
            for phone, folder in config.by_phone().items():
                terminal = _open_terminal(folder, journal, clock, randomness)
                _require_alone(terminal, terminals)
                terminals[terminal.device] = terminal
                devices[phone] = terminal.device
            codes = CodeBook(store, devices, randomness)
            door = Door(terminals, devices, codes, journal, clock, _limits(config.limits))
        except BaseException:
            for terminal in terminals.values():
                terminal.pipeline.sink.store.close()
            raise
        try:
            yield door
        finally:
            door.close()


def _own_key(path: Path) -> FileIdentity:
    return FileIdentity.load(path) if path.exists() else FileIdentity.create(path, "door")


def _open_terminal(
    folder: Path, journal: Journal, clock: Clock, randomness: Randomness
) -> Terminal:
    config = load_config(folder / SETTINGS, GatewayConfig)
    device, named = Provisioned(config, clock, randomness), config.campaign.file
    campaign = read_campaign(folder / named) if named else default_campaign()
    store = open_store(config.gateway.data_dir / STORE, TERMINAL_MIGRATIONS)
    try:
        sink = device.open_sink(store)
        vehicle = Vehicle(config.gateway.device, config.gateway.vehicle)
        profile = load_profile(PROFILE)
        book = device.roster(sink)
        pipeline = Pipeline(
            device=config.gateway.device,
            sink=sink,
            batcher=Batcher(sink, vehicle, Decoder(profile), campaign),
            aside=Decoder(profile),
            signin=SignIn(store, book.roster),
            data_dir=config.gateway.data_dir,
            publisher=device.publisher(sink),
        )
        return Terminal(pipeline, journal, clock.now())
    except BaseException:
        store.close()
        raise


def _require_alone(terminal: Terminal, others: dict[str, Terminal]) -> None:
    if terminal.device in others:
        terminal.pipeline.sink.store.close()
        raise LocalError(
            f"Two folders of door.toml are those of {terminal.device}. Provision one of them anew.",
            "door-terminals",
        )


def _limits(section: LimitsSection) -> DoorLimits:
    return DoorLimits(
        stranger_us=section.stranger_s * SECOND_US,
        silence_us=section.silence_s * SECOND_US,
        bytes_per_s=section.bytes_per_s,
        brokers_max=section.brokers_max,
    )

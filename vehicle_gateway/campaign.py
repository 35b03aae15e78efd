"""What counts as a driving event, and what is collected: data with its source, none of it code.

Place in the flow: **campaign** → events, trips, collect. The default is `campaigns/default.json`;
another one, of ours or of a file, is named in gateway.toml or comes signed (`campaign_book`).

* A figure without a source, of another unit or out of its range is refused, and so is one too many
  or too few: a campaign is taken whole or not at all.
* `load_campaign` takes bytes, wherever they come from: a file or a signed message.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import DeviceFault, LocalError
from edge.orders import CAMPAIGN_BYTES_MAX
from vehicle_gateway.places import Places, check
from vehicle_gateway.shape import SHAPE
from vehicle_gateway.wanted import Collect, check_collect

if TYPE_CHECKING:
    from pathlib import Path

VERSION: Final = 1
DEFAULT: Final = "default"
SOURCE_CHARACTERS_MIN: Final = 10


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number and where it comes from: a standard and clause, a table, or a measurement."""

    value: int
    unit: str
    source: str


class Campaign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A set of rules.

    Attributes:
        id: Name of the campaign, such as `default`.
        version: Counts up with every change of it.
        rules: Rule → figure → number with source, exactly as `SHAPE` lists them; left out, those
            of `default`.
        places: Where limits, bans, corridors and fences are.
        collect: What is sealed of what is decoded; None seals all of it.
    """

    v: int
    id: str
    version: int
    rules: dict[str, dict[str, Figure]] = {}
    places: Places | None = None
    collect: Collect | None = None

    def figures(self, rule: str) -> dict[str, int]:
        """Returns the values of one rule by name."""
        return {name: figure.value for name, figure in self.rules[rule].items()}


def default_campaign() -> Campaign:
    """Returns the campaign that acts where none is named."""
    return built_in(DEFAULT)


@cache
def built_in(name: str) -> Campaign:
    """Returns a campaign of `campaigns/` by its name.

    Raises:
        LocalError: There is none of that name.
    """
    file = resources.files("vehicle_gateway").joinpath("campaigns", f"{name}.json")
    if not name.isidentifier() or not file.is_file():
        raise _refuse(f"there is none called {name!r} here; name a file that ends in .json")
    return load_campaign(file.read_bytes())


def read_campaign(path: Path) -> Campaign:
    """Reads a campaign file.

    Raises:
        DeviceFault: The file cannot be read.
        LocalError: It is not a campaign; nothing of it is used.
    """
    try:
        return load_campaign(path.read_bytes())
    except OSError as error:
        raise DeviceFault(
            f"The campaign {path} cannot be read ({error.strerror}); correct [campaign] file.",
            "campaign-missing",
        ) from error


def load_campaign(data: bytes) -> Campaign:
    """Reads and checks a campaign.

    Args:
        data: JSON of the shape of `campaigns/default.json`.

    Raises:
        LocalError: It is not a campaign; nothing of it is used.
    """
    if len(data) > CAMPAIGN_BYTES_MAX:
        raise _refuse("it is larger than 128 KiB")
    try:
        campaign = msgspec.json.decode(data, type=Campaign)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refuse(str(error)) from error
    if campaign.v != VERSION:
        raise _refuse(f"its format is {campaign.v}, this gateway reads {VERSION}")
    if not campaign.rules and campaign.id != DEFAULT:
        campaign = msgspec.structs.replace(campaign, rules=default_campaign().rules)
    _check_names(set(campaign.rules), set(SHAPE), "rules")
    for rule, shape in SHAPE.items():
        _check_names(set(campaign.rules[rule]), set(shape), rule)
        for name, bounds in shape.items():
            _check_figure(f"{rule}.{name}", campaign.rules[rule][name], bounds)
    _check_sections(campaign)
    return campaign


def _check_sections(campaign: Campaign) -> None:
    try:
        if campaign.places is not None:
            check(campaign.places)
        if campaign.collect is not None:
            check_collect(campaign.collect)
    except LocalError as error:
        raise _refuse(str(error)) from error


def _check_names(found: set[str], wanted: set[str], where: str) -> None:
    if found != wanted:
        odd = ", ".join(sorted(found ^ wanted))
        raise _refuse(f"{where} has a name too many or too few: {odd}")


def _check_figure(name: str, figure: Figure, bounds: tuple[str, int, int]) -> None:
    unit, low, high = bounds
    if figure.unit != unit or not low <= figure.value <= high:
        raise _refuse(f"{name} must be from {low} to {high} {unit}")
    if len(figure.source.strip()) < SOURCE_CHARACTERS_MIN:
        raise _refuse(f"{name} names no source")


def _refuse(why: str) -> LocalError:
    return LocalError(f"The campaign is refused: {why}. The rules before stay.", "campaign-refused")

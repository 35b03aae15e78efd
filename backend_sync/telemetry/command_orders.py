"""The verbs about orders to boxes: campaign send and list, command send and list.

Place in the flow: `lastmile-core campaign ...`, `lastmile-core command ...` → **command_orders** →
orders.

* A campaign is checked whole by the box that takes it; here, that it is JSON with id and version.
* What is sent is sent by whoever runs ingest, until the box has answered.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from backend_sync.telemetry.orders import Draft, issue, list_orders
from edge.errors import LocalError
from edge.orders import (
    CAMPAIGN_BYTES_MAX,
    CAMPAIGN_TYPE,
    COMMAND_TYPE,
    PURPOSE_CHARACTERS,
    VERBS,
    arguments_fit,
)

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from pathlib import Path

    from backend_sync.core.command_register import Desk
    from backend_sync.telemetry.orders import OrderLine

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_US: Final = 60_000_000
DAY_US: Final = 86_400_000_000
DAYS_MAX: Final = 366
MINUTES_MAX: Final = 7 * 24 * 60


def campaign_send(desk: Desk, arguments: Namespace) -> str:
    """Signs a campaign for some gateways.

    Raises:
        LocalError: The file is no campaign, there is no purpose, or a device is no gateway.
    """
    body, name = read_campaign(arguments.file)
    low, high = PURPOSE_CHARACTERS
    if not low <= len(arguments.purpose.strip()) <= high:
        raise LocalError(
            f"Say in {low} to {high} characters what the data is for.", "campaign-purpose"
        )
    if not 1 <= arguments.days <= DAYS_MAX:
        raise LocalError(f"A campaign acts for 1 to {DAYS_MAX} days.", "order-span")
    now_us = desk.now_us()
    begin_us = now_us + arguments.after_hours * 60 * MINUTE_US
    record = {
        "type": CAMPAIGN_TYPE,
        "campaign": body,
        "not_before_us": begin_us,
        "expiry_us": begin_us + arguments.days * DAY_US,
        "purpose": arguments.purpose,
        "consent": arguments.consent,
    }
    return _issue(desk, Draft(name, record, arguments.group), arguments.devices, now_us)


def command_send(desk: Desk, arguments: Namespace) -> str:
    """Signs a command for some gateways.

    Raises:
        LocalError: There is no such verb, it takes other arguments, or a device is no gateway.
    """
    given = dict(_argument(text) for text in arguments.arguments)
    if not arguments_fit(arguments.word, given):
        wanted = VERBS[arguments.word]
        shape = ", ".join(f"{name}={low}..{high}" for name, (low, high) in wanted.items())
        raise LocalError(f"{arguments.word} takes {shape or 'no arguments'}.", "command-arguments")
    if not 1 <= arguments.minutes <= MINUTES_MAX:
        raise LocalError(f"A command waits for 1 to {MINUTES_MAX} minutes.", "order-span")
    now_us = desk.now_us()
    record = {
        "type": COMMAND_TYPE,
        "verb": arguments.word,
        "arguments": given,
        "expiry_us": now_us + arguments.minutes * MINUTE_US,
    }
    return _issue(desk, Draft(arguments.word, record), arguments.devices, now_us)


def campaign_list(desk: Desk, arguments: Namespace) -> str:
    """Shows campaigns and what became of them."""
    return _shown(desk, CAMPAIGN_TYPE, arguments)


def command_list(desk: Desk, arguments: Namespace) -> str:
    """Shows commands and what became of them."""
    return _shown(desk, COMMAND_TYPE, arguments)


def read_campaign(path: Path) -> tuple[bytes, str]:
    """Returns the bytes of a campaign file, and its id and version for people.

    Raises:
        LocalError: It cannot be read, is too large, or is no JSON object with id and version.
    """
    try:
        body = path.read_bytes()
        found: Any = json.loads(body) if len(body) <= CAMPAIGN_BYTES_MAX else None
    except (OSError, ValueError, RecursionError) as error:
        raise LocalError(f"{path} holds no campaign ({error}).", "campaign-file") from error
    if not isinstance(found, dict) or not isinstance(found.get("id"), str):
        raise LocalError(
            f"{path} holds no campaign of at most {CAMPAIGN_BYTES_MAX} bytes with an id.",
            "campaign-file",
        )
    return body, f"{found['id'][:60]} {found.get('version')}"


def _argument(text: str) -> tuple[str, int]:
    name, separator, number = text.partition("=")
    if not separator or not number.isascii() or not number.isdigit():
        raise LocalError(f"Write an argument as name=number, not {text!r}.", "command-arguments")
    return name, int(number)


def _issue(desk: Desk, draft: Draft, devices: Sequence[str], now_us: int) -> str:
    numbers = issue(desk.connection, desk.keys.core, draft, devices, now_us)
    told = ", ".join(f"{device} ({seq})" for device, seq in numbers.items())
    return f"{draft.name} is on its way to {told}."


def _shown(desk: Desk, kind: str, arguments: Namespace) -> str:
    lines = list_orders(desk.connection, kind, arguments.device)
    if arguments.json:
        return json.dumps([dataclasses.asdict(line) for line in lines], indent=2)
    heads = f"{'device':16}  {'number':>6}  {'issued':20}  {'sent':>4}  {'outcome':12}  what"
    now_us = desk.now_us()
    return "\n".join([heads, *(_as_text(line, now_us) for line in lines)])


def _as_text(line: OrderLine, now_us: int) -> str:
    issued = (EPOCH + timedelta(microseconds=line.issued_us)).strftime("%Y-%m-%dT%H:%M:%SZ")
    waiting = "expired" if line.expires_us <= now_us else "waiting"
    code = f" ({line.code})" if line.code else ""
    place = f"{line.device:16}  {line.seq:>6}  {issued}  {line.sent:>4}"
    return f"{place}  {line.outcome or waiting:12}  {line.name}{code}"

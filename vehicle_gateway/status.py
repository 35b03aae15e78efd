"""What a box has done and what waits in it, read beside the running gateway.

Place in the flow: outbox, checkpoint → **status** → technician.

* Reads only; the one writer is not disturbed.
* Says whether a driver is signed in, never who.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.codec import decode
from edge.gaps import PRIORITY_NAMES
from edge.outbox import Outbox
from edge.policies import read_standing
from vehicle_gateway.driver import sign_in_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.store import Store


def read_status(store: Store, device: str, now_us: int) -> dict[str, Any]:
    """Returns counts of outbox and source, and whether a consent lives at `now_us`.

    Raises:
        DeviceFault: The store is not there yet or is damaged.
    """
    row = store.row("SELECT source, position, totals FROM gateway_checkpoint")
    outbox = Outbox(store, device)
    counts = outbox.counts()
    return {
        "device": device,
        "source": row["source"] if row else None,
        "position": row["position"] if row else 0,
        **(decode(bytes(row["totals"])) if row else {}),
        **{name: counts[name] for name in ("waiting", "bytes", "settled", "dropped", "aged")},
        "dropped_by": _by_priority(counts, "dropped"),
        "aside": counts["aside"],
        "aside_by": _by_priority(counts, "aside"),
        "aside_last": _last_aside(outbox),
        "refused_epochs": outbox.held.faults(),
        **_policy(store, device),
        "driver": sign_in_state(store, now_us),
    }


def _by_priority(counts: Mapping[str, int], kind: str) -> dict[str, int]:
    found = {name: counts.get(f"{kind}_{number}", 0) for number, name in enumerate(PRIORITY_NAMES)}
    return {name: count for name, count in found.items() if count}


def _last_aside(outbox: Outbox) -> dict[str, Any] | None:
    """Returns {epoch, seq, code} of the last message that the core refused for ever."""
    kept = outbox.kept_aside()
    return {name: kept[-1][name] for name in ("epoch", "seq", "code")} if kept else None


def _policy(store: Store, device: str) -> dict[str, Any]:
    """Returns number and cipher of the policy that the next epoch begins under."""
    policy = read_standing(store, device)
    suite = policy.choose() if policy else None
    return {"policy": policy and policy.seq, "algorithm": suite and suite.name}

"""What a box has done and what waits in it, read beside the running gateway.

Place in the flow: outbox, checkpoint → **status** → technician.

* Reads only; the one writer is not disturbed.
* Says whether a driver is signed in, never who.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.codec import decode
from edge.outbox import Outbox
from edge.policies import read_standing
from vehicle_gateway.driver import someone_is_signed_in

if TYPE_CHECKING:
    from edge.store import Store


def read_status(store: Store, device: str, now_us: int) -> dict[str, Any]:
    """Returns counts of outbox and source, and whether a consent lives at `now_us`.

    Raises:
        DeviceFault: The store is not there yet or is damaged.
    """
    row = store.row("SELECT source, position, totals FROM gateway_checkpoint")
    counts = Outbox(store, device).counts()
    return {
        "device": device,
        "source": row["source"] if row else None,
        "position": row["position"] if row else 0,
        **(decode(bytes(row["totals"])) if row else {}),
        **{name: counts[name] for name in ("waiting", "bytes", "settled", "dropped")},
        **_policy(store, device),
        "driver": "signed in" if someone_is_signed_in(store, now_us) else "none",
    }


def _policy(store: Store, device: str) -> dict[str, Any]:
    """Returns number and cipher of the policy that the next epoch begins under."""
    policy = read_standing(store, device)
    suite = policy.choose() if policy else None
    return {"policy": policy and policy.seq, "algorithm": suite and suite.name}

"""The HTTP surface for devices: routes, body limits, nothing else.

Place in the flow: TLS → **app** → gate.

* A body is read up to `FRAME_BYTES_MAX` and not a byte further.
* Bodies are COSE, opaque here; a status line is a hint, the signed body is the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from litestar import Litestar, Request, Response, get, post
from litestar.exceptions import ClientException, HTTPException
from litestar.params import FromPath, RawBody  # noqa: TC002 - read at run time

from backend_sync.messages import FRAME_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend_sync.api.gate import Gate, Reply

COSE: Final = "application/cose"
RETRY_AFTER_S: Final = 5
UNAVAILABLE: Final = 503
TOO_LARGE: Final = 413
SERVER_ERROR: Final = 500


def build_app(gate: Gate) -> Litestar:
    """Returns the ASGI application over a gate."""

    @post("/v1/devices/{device:str}/journal", status_code=200, sync_to_thread=True)
    def take_journal(device: FromPath[str], body: RawBody) -> Response[bytes]:
        return _respond(gate.take_journal(device, body))

    @post("/v1/devices/{device:str}/downlink", status_code=200, sync_to_thread=True)
    def give_downlink(device: FromPath[str], body: RawBody) -> Response[bytes]:
        return _respond(gate.give_downlink(device, body))

    @get("/healthz", sync_to_thread=False)
    def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @get("/readyz", sync_to_thread=True)
    def readyz() -> Response[dict[str, str]]:
        if gate.ready():
            return Response({"status": "ready"})
        return Response({"status": "database-unreachable"}, status_code=UNAVAILABLE)

    return Litestar(
        [take_journal, give_downlink, healthz, readyz],
        request_max_body_size=FRAME_BYTES_MAX,
        exception_handlers={HTTPException: _refuser(gate), Exception: _refuser(gate)},
        openapi_config=None,
        logging_config=None,
    )


def _refuser(
    gate: Gate,
) -> Callable[[Request[Any, Any, Any], Exception], Response[bytes]]:
    """What never reached the gate is still answered with a signature."""

    def refuse(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        status = error.status_code if isinstance(error, HTTPException) else SERVER_ERROR
        code, message = _explain(status, error)
        reply = gate.refuse(request.url.path, code, message)
        return Response(reply.body, status_code=status, media_type=COSE)

    return refuse


def _explain(status: int, error: Exception) -> tuple[str, str]:
    if status == TOO_LARGE:
        return "too-large", f"A body has at most {FRAME_BYTES_MAX} bytes."
    if isinstance(error, ClientException) or status < SERVER_ERROR:
        return "bad-request", "No such address, or not a request that it takes."
    return "internal", "The bank has a fault; try again later."


def _respond(reply: Reply) -> Response[bytes]:
    headers = {"Retry-After": str(RETRY_AFTER_S)} if reply.status == UNAVAILABLE else {}
    return Response(reply.body, status_code=reply.status, media_type=COSE, headers=headers)

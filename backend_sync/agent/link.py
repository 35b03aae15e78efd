"""Bytes to the core and back over HTTPS: mutual TLS 1.3, bounded answers, nothing believed.

Place in the flow: contact → **link** ══ core.

* Both ends show certificates; what an answer says is still checked by its signature elsewhere.
* Whatever keeps bytes from travelling (no route, TLS, a portal's login page, a half-open line) is
  one thing to the caller: `Unreachable`, try again later.
* The route is what agent.toml says: proxies that the environment names are not used, a redirect is
  not followed, and nothing is decompressed on the way.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final, Self

import httpx

from edge.errors import DeviceFault, LocalError

if TYPE_CHECKING:
    from pathlib import Path

COSE: Final = "application/cose"


class Unreachable(DeviceFault):
    """The core cannot be reached, or what answered is not the core."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "core-unreachable")


class Link:
    """One HTTPS client; use it as a context manager.

    Args:
        url: Root address of the core.
        context: What `make_context` returned.
        timeout_s: Longest silence within one request.

    Raises:
        LocalError: The address is none, or not https.
    """

    def __init__(self, url: str, context: ssl.SSLContext, timeout_s: float) -> None:
        try:
            self._client = httpx.Client(
                base_url=url, verify=context, timeout=timeout_s, trust_env=False
            )
        except httpx.InvalidURL as error:
            raise LocalError(f"[core] url is no address ({error}); correct it.", "url") from error
        if self._client.base_url.scheme != "https" or not self._client.base_url.host:
            raise LocalError(
                f"[core] url {url} is no https:// address of a host; correct it.", "url"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def post(self, path: str, body: bytes, answer_bytes_max: int) -> bytes:
        """Posts a body and returns the answer's body, whatever the status line says.

        Raises:
            Unreachable: No answer, or one that is longer than allowed.
        """
        headers = {"Content-Type": COSE, "Accept-Encoding": "identity"}
        parts: list[bytes] = []
        size = 0
        try:
            with self._client.stream("POST", path, content=body, headers=headers) as response:
                for part in response.iter_raw():
                    parts.append(part)
                    size += len(part)
                    if size > answer_bytes_max:
                        raise Unreachable("The answer is too long; it is not from the core.")
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise Unreachable(f"The core does not answer ({reason}).") from error
        return b"".join(parts)


def make_context(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """Returns the TLS context of a device.

    Raises:
        DeviceFault: A file cannot be read or holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(ca)
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise DeviceFault(
            f"The certificates of this device cannot be read ({error}). Provision it again.",
            "certificates",
        ) from error
    return context

"""The one door to the TPM: seals a secret, and counts.

Place in the flow: `/dev/tpmrm0` or a software TPM → **tpm** → vault_tpm, counter_tpm.

* A connection lives as long as one act, so kiosk and agent share a TPM, and one that was reset or
  came late needs no restart.
* Whatever the TPM or its library says becomes a `DeviceFault`; nothing else leaves this file.
* A secret is sealed under the owner hierarchy's primary P-256 storage key, which is made anew from
  the TPM's own seed each time: another TPM, or one that was cleared, cannot open it. No PCR policy
  binds it to the software that was booted: an update must not lock a kiosk out, and who boots
  another system on this board can ask the TPM too.
* Secrets travel between processor and TPM encrypted, with a key that only that TPM can know.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Final

from edge.codec import decode, encode
from edge.errors import DeviceFault, LocalError, PeerError

if TYPE_CHECKING:
    from collections.abc import Iterator

SEALED_VERSION: Final = 1
COUNTER_BYTES: Final = 8
HANDLE_UNKNOWN: Final = 0x18B
"""TPM_RC_HANDLE, first handle: there is no such NV index (TPM 2.0 Part 2, clause 6.6.3)."""

NOT_WRITTEN: Final = 0x14A
"""TPM_RC_NV_UNINITIALIZED: defined, and never incremented."""


class Tpm:
    """One TPM.

    Args:
        tcti: How to reach it, such as `device:/dev/tpmrm0` or `swtpm:path=/run/swtpm`.
    """

    def __init__(self, tcti: str) -> None:
        self.tcti = tcti

    # ------------------------------------------------------------ secrets
    def seal(self, secret: bytes) -> bytes:
        """Returns bytes that only this TPM can turn into the secret.

        Raises:
            DeviceFault: The TPM cannot be reached, or refuses.
        """
        with self._storage() as (esapi, tss, parent, session):
            sensitive = tss.TPM2B_SENSITIVE_CREATE(tss.TPMS_SENSITIVE_CREATE(data=secret))
            flags = tss.TPMA_OBJECT
            template = tss.TPM2B_PUBLIC.parse(
                "keyedhash",
                objectAttributes=flags.FIXEDTPM | flags.FIXEDPARENT | flags.USERWITHAUTH,
            )
            private, public, *_ = esapi.create(parent, sensitive, template, session1=session)
            return encode([SEALED_VERSION, public.marshal(), private.marshal()])

    def unseal(self, sealed: bytes) -> bytes:
        """Returns the secret.

        Raises:
            PeerError: These are no sealed bytes.
            DeviceFault: Another TPM sealed them, or this one cannot be reached.
        """
        halves = _read_halves(sealed)
        with self._storage() as (esapi, tss, parent, session):
            try:
                public, _ = tss.TPM2B_PUBLIC.unmarshal(halves[0])
                private, _ = tss.TPM2B_PRIVATE.unmarshal(halves[1])
            except tss.TSS2_Exception as error:
                raise _no_sealed_bytes() from error
            with _flushed(esapi, esapi.load(parent, private, public)) as handle:
                return bytes(esapi.unseal(handle, session1=session))

    # ------------------------------------------------------------ counters
    def define_counter(self, index: int) -> bool:
        """Makes an NV counter and counts once; returns False when it was there.

        Raises:
            DeviceFault: The TPM cannot be reached, or has no room.
        """
        with self._open() as (esapi, tss):
            handle = _find(esapi, tss, index)
            made = handle is None
            if handle is None:
                handle = esapi.nv_define_space(b"", _counter_area(tss, index))
            if made or _value(esapi, tss, handle) is None:
                esapi.nv_increment(handle, auth_handle=handle)
            return made

    def read_counter(self, index: int) -> int | None:
        """Returns the value of an NV counter; None when it was not defined here.

        Raises:
            DeviceFault: The TPM cannot be reached, or the index is no counter.
        """
        with self._open() as (esapi, tss):
            handle = _find(esapi, tss, index)
            return None if handle is None else _value(esapi, tss, handle)

    def increment_counter(self, index: int, times: int) -> None:
        """Increments an NV counter that is there.

        Raises:
            DeviceFault: The TPM cannot be reached, or there is no such counter.
        """
        with self._open() as (esapi, tss):
            handle = _find(esapi, tss, index)
            for _ in range(times):
                esapi.nv_increment(handle, auth_handle=handle)

    # ------------------------------------------------------------ connections
    @contextlib.contextmanager
    def _open(self) -> Iterator[tuple[Any, Any]]:
        """Yields (connection, library); turns what goes wrong into our own words."""
        tss = _library()
        try:
            with tss.ESAPI(self.tcti) as esapi:
                yield esapi, tss
        except tss.TSS2_Exception as error:
            raise DeviceFault(
                f"The TPM at {self.tcti} does not do what it should ({error}). Check that it is "
                "switched on in the firmware, that it was not cleared or exchanged, and that this "
                "user is in the group tss; else call the bank.",
                "tpm",
            ) from error

    @contextlib.contextmanager
    def _storage(self) -> Iterator[tuple[Any, Any, Any, Any]]:
        """Yields (connection, library, storage key, session that encrypts what travels)."""
        with self._open() as (esapi, tss):
            flags = tss.TPMA_OBJECT
            template = tss.TPM2B_PUBLIC.parse(
                "ecc:aes128cfb",
                objectAttributes=flags.USERWITHAUTH | flags.RESTRICTED | flags.DECRYPT | flags.NODA
                | flags.FIXEDTPM | flags.FIXEDPARENT | flags.SENSITIVEDATAORIGIN,
            )  # fmt: skip
            parent, *_ = esapi.create_primary(
                tss.TPM2B_SENSITIVE_CREATE(), template, tss.ESYS_TR.OWNER
            )
            with _flushed(esapi, parent):
                session = esapi.start_auth_session(
                    parent, tss.ESYS_TR.NONE, tss.TPM2_SE.HMAC, _aes(tss), tss.TPM2_ALG.SHA256
                )
                with _flushed(esapi, session):
                    kept = tss.TPMA_SESSION
                    esapi.trsess_set_attributes(
                        session, kept.CONTINUESESSION | kept.ENCRYPT | kept.DECRYPT
                    )
                    yield esapi, tss, parent, session


def _library() -> Any:  # noqa: ANN401 - it carries no types
    # It would print to standard error what we say in our own words.
    os.environ.setdefault("TSS2_LOG", "all+NONE")
    try:
        import tpm2_pytss
    except ImportError as error:
        raise LocalError(
            "A TPM needs the library tpm2-pytss; install lastmile[tpm] here.", "tpm-library"
        ) from error
    return tpm2_pytss


@contextlib.contextmanager
def _flushed(esapi: Any, handle: Any) -> Iterator[Any]:  # noqa: ANN401 - it carries no types
    """A TPM has room for three objects: each goes as soon as it has served."""
    try:
        yield handle
    finally:
        esapi.flush_context(handle)


def _aes(tss: Any) -> Any:  # noqa: ANN401 - it carries no types
    return tss.TPMT_SYM_DEF(
        algorithm=tss.TPM2_ALG.AES,
        keyBits=tss.TPMU_SYM_KEY_BITS(sym=128),
        mode=tss.TPMU_SYM_MODE(sym=tss.TPM2_ALG.CFB),
    )


def _counter_area(tss: Any, index: int) -> Any:  # noqa: ANN401 - it carries no types
    flags = tss.TPMA_NV
    kind = tss.TPM2_NT.COUNTER << flags.TPM2_NT_SHIFT
    area = tss.TPMS_NV_PUBLIC(
        nvIndex=index,
        nameAlg=tss.TPM2_ALG.SHA256,
        attributes=flags.AUTHREAD | flags.AUTHWRITE | flags.NO_DA | kind,
        authPolicy=b"",
        dataSize=COUNTER_BYTES,
    )
    return tss.TPM2B_NV_PUBLIC(nvPublic=area)


def _find(esapi: Any, tss: Any, index: int) -> Any:  # noqa: ANN401 - it carries no types
    """Returns the counter's handle, or None; an area that can be set at will is no counter."""
    try:
        handle = esapi.tr_from_tpmpublic(index)
    except tss.TSS2_Exception as error:
        if error.rc == HANDLE_UNKNOWN:
            return None
        raise
    area, _ = esapi.nv_read_public(handle)
    if area.nvPublic.attributes.nt != tss.TPM2_NT.COUNTER:
        raise DeviceFault(
            f"Index {index:#010x} of the TPM is no counter; somebody put it there. Keep this "
            "device as it is and call the bank.",
            "counter-other",
        )
    return handle


def _value(esapi: Any, tss: Any, handle: Any) -> int | None:  # noqa: ANN401 - it carries no types
    try:
        content = esapi.nv_read(handle, COUNTER_BYTES, 0, auth_handle=handle)
    except tss.TSS2_Exception as error:
        if error.rc == NOT_WRITTEN:
            return None
        raise
    return int.from_bytes(bytes(content), "big")


def _read_halves(sealed: bytes) -> tuple[bytes, bytes]:
    try:
        record = decode(sealed)
    except PeerError as error:
        raise _no_sealed_bytes() from error
    match record:
        case [int(version), bytes(public), bytes(private)] if version == SEALED_VERSION:
            return public, private
        case _:
            raise _no_sealed_bytes()


def _no_sealed_bytes() -> PeerError:
    return PeerError(
        "This is no secret that a TPM sealed, or it is damaged. Put the right vault file back, or "
        "keep the machine for the bank and provision anew.",
        "tpm-sealed",
    )

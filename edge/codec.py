"""Deterministic CBOR, the subset that Lastmile speaks, and bounded DEFLATE.

Place in the flow: under everything. What is signed, sealed, hashed or stored was encoded here.
The same file runs on MicroPython: no typing, no dataclasses, nothing but struct and zlib/deflate.

    head byte   major type (3 bits) | argument (5 bits: 0..23 inline, 24..27 = 1, 2, 4, 8 bytes)
      0  unsigned       1  negative (-1 - n)      2  bytes      3  text (UTF-8)
      4  array          5  map                    7  false 20, true 21, null 22

* Encoding is deterministic (RFC 8949 §4.2.1): shortest heads, map keys sorted by encoded bytes.
* Decoding is strict: what `encode` could not have made is refused, so one value has one spelling.
* No floats, tags, undefined or indefinite lengths: nothing we say needs them (ADR 0003).
* A decoder's work and memory are bounded by the input's length and by named limits.
"""

from edge.errors import LocalError, PeerError
from edge.inflate import expand

TYPE_CHECKING = False  # MicroPython has no typing; type checkers take this name as true
if TYPE_CHECKING:
    from typing import Any

try:
    import zlib

    # MicroPython may have a `zlib` that has no streams, and then neither a limit nor an end.
    HAS_ZLIB = hasattr(zlib, "compressobj")
except ImportError:  # pragma: no cover - most MicroPython has `deflate` alone
    HAS_ZLIB = False

ITEMS_MAX = 65536
DEPTH_MAX = 16
WINDOW_BITS = -15
LEVEL = 6

UNSIGNED = 0
NEGATIVE = 1
BYTES = 2
TEXT = 3
ARRAY = 4
MAP = 5
SIMPLE = 7

FALSE = b"\xf4"
TRUE = b"\xf5"
NULL = b"\xf6"
ONE_BYTE = 24
ARGUMENT_BYTES = {24: 1, 25: 2, 26: 4, 27: 8}
INTEGER_LIMIT = 1 << 64
STORED_BYTES_MAX = 65535

# Well-formed UTF-8 (Unicode, table 3-7): first byte from, to; second from, to; bytes that follow.
UTF8_FORMS = (
    (0x00, 0x7F, 0x00, 0x00, 0),
    (0xC2, 0xDF, 0x80, 0xBF, 1),
    (0xE0, 0xE0, 0xA0, 0xBF, 2),
    (0xE1, 0xEC, 0x80, 0xBF, 2),
    (0xED, 0xED, 0x80, 0x9F, 2),
    (0xEE, 0xEF, 0x80, 0xBF, 2),
    (0xF0, 0xF0, 0x90, 0xBF, 3),
    (0xF1, 0xF3, 0x80, 0xBF, 3),
    (0xF4, 0xF4, 0x80, 0x8F, 3),
)


class CodecError(PeerError):
    """Bytes that are not of this subset, or that go past a limit."""


# ------------------------------------------------------------------ text
def _lets_pass_what_is_no_text() -> bool:
    try:
        return str(b"\xed\xa0\x80", "utf-8") != ""
    except UnicodeError:
        return False


# MicroPython takes surrogates, overlong forms and what is past U+10FFFF, both ways.
LENIENT_TEXT = _lets_pass_what_is_no_text()


def text_of(data: bytes) -> str:
    """Decodes UTF-8, alike on both Pythons.

    Raises:
        CodecError: The bytes are not well-formed UTF-8.
    """
    try:
        text = str(data, "utf-8")
    except UnicodeError:
        raise CodecError("A text is not UTF-8.", "codec-text") from None
    if LENIENT_TEXT and not _is_utf8(data):
        raise CodecError("A text is not UTF-8.", "codec-text")
    return text


def octets_of(text: str) -> bytes:
    """Encodes UTF-8, alike on both Pythons.

    Raises:
        LocalError: The text has a lone surrogate.
    """
    try:
        data = text.encode("utf-8")
    except UnicodeError:
        data = b"\xff"
    if data == b"\xff" or (LENIENT_TEXT and not _is_utf8(data)):
        raise LocalError("A text with a lone surrogate cannot be encoded.", "codec-encode")
    return data


def _is_utf8(data: bytes) -> bool:
    at = 0
    while at < len(data):
        size = _character_bytes(data, at)
        if not size:
            return False
        at += size
    return True


def _character_bytes(data: bytes, at: int) -> int:
    """Returns the length of the character that begins there, or 0 where none does."""
    for first, last, low, high, count in UTF8_FORMS:
        if first <= data[at] <= last:
            follow = data[at + 1 : at + 1 + count]
            whole = len(follow) == count and all(0x80 <= byte <= 0xBF for byte in follow)
            return 1 + count if whole and (not count or low <= follow[0] <= high) else 0
    return 0


# ------------------------------------------------------------------ encode
def encode(value: object) -> bytes:
    """Encodes a value.

    Args:
        value: int (-2**64 .. 2**64 - 1), bytes, str, bool, None, list or tuple of such, or a dict
            with int or str keys.

    Raises:
        LocalError: The value holds something else; that is a mistake of ours.
    """
    out = bytearray()
    _write(out, value, 0)
    return bytes(out)


def octets_head(size: int) -> bytes:
    """Returns what stands before so many bytes, for who puts large ones together without a copy."""
    out = bytearray()
    _write_head(out, BYTES, size)
    return bytes(out)


def _write(out: bytearray, value: object, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise LocalError("A value is nested too deep to encode.", "codec-encode")
    if isinstance(value, str):  # what comes most often is asked for first
        _write_octets(out, TEXT, octets_of(value))
    elif value is None or value is True or value is False:
        out += NULL if value is None else TRUE if value else FALSE
    elif isinstance(value, (int, bool)):  # on MicroPython a bool is no int
        _write_integer(out, value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        _write_octets(out, BYTES, bytes(value))
    elif isinstance(value, dict):
        _write_map(out, value, depth + 1)
    else:
        _write_array(out, value, depth + 1)


def _write_octets(out: bytearray, major: int, value: bytes) -> None:
    size = len(value)
    if size < ONE_BYTE:
        out.append(major << 5 | size)
    else:
        _write_head(out, major, size)
    out += value


def _write_array(out: bytearray, value: object, depth: int) -> None:
    if not isinstance(value, (list, tuple)):
        name = type(value).__name__
        raise LocalError("A value of type " + name + " cannot be encoded.", "codec-encode")
    _write_head(out, ARRAY, len(value))
    for item in value:
        _write(out, item, depth)


def _write_integer(out: bytearray, value: int) -> None:
    if 0 <= value < INTEGER_LIMIT:
        _write_head(out, UNSIGNED, value)
    elif -INTEGER_LIMIT <= value < 0:
        _write_head(out, NEGATIVE, -1 - value)
    else:
        raise LocalError("An integer of more than 64 bits cannot be encoded.", "codec-encode")


def _write_map(out: bytearray, value: dict, depth: int) -> None:  # type: ignore[type-arg]
    pairs = [(_spell_key(key), key) for key in value]
    pairs.sort()  # no two keys are spelled alike, so keys themselves are never compared
    _write_head(out, MAP, len(pairs))
    for spelled, key in pairs:
        out += spelled
        _write(out, value[key], depth)


def _spell_key(key: object) -> bytes:
    out = bytearray()
    if isinstance(key, str):
        _write_octets(out, TEXT, octets_of(key))
    elif isinstance(key, int) and not isinstance(key, bool):
        _write_integer(out, key)
    else:
        raise LocalError("A map key must be an integer or a text.", "codec-encode")
    return bytes(out)


def _write_head(out: bytearray, major: int, argument: int) -> None:
    first = major << 5
    if argument < ONE_BYTE:
        out.append(first | argument)
        return
    short = ONE_BYTE
    while argument >> (8 * ARGUMENT_BYTES[short]):
        short += 1
    out.append(first | short)
    out += argument.to_bytes(ARGUMENT_BYTES[short], "big")


# ------------------------------------------------------------------ decode
def decode(
    data: bytes,
    *,
    items_max: int = ITEMS_MAX,
    depth_max: int = DEPTH_MAX,
) -> "Any":  # noqa: ANN401 - outside data, the caller checks it
    """Decodes exactly one value that fills `data`.

    Args:
        data: Hostile bytes.
        items_max: Most values, counting every key, item and container.
        depth_max: Deepest nesting.

    Raises:
        CodecError: `data` is not what `encode` makes of any value within the limits.
    """
    reader = _Reader(bytes(data), items_max, depth_max)
    value = reader.value(0)
    if reader.at != len(reader.data):
        raise CodecError("Bytes follow the end of the value.", "codec-trailing")
    return value


class _Reader:
    def __init__(self, data: bytes, items_max: int, depth_max: int) -> None:
        self.data = data
        self.at = 0
        self.items_left = items_max
        self.depth_max = depth_max

    def value(self, depth: int) -> object:
        self.items_left -= 1
        if self.items_left < 0:
            raise CodecError("The value has too many items.", "codec-items")
        if depth > self.depth_max:
            raise CodecError("The value is nested too deep.", "codec-depth")
        major, argument = self._head()
        if major == UNSIGNED:
            return argument
        if major == NEGATIVE:
            return -1 - argument
        if major == BYTES:
            return self._take(argument)
        if major == TEXT:
            return text_of(self._take(argument))
        if major == ARRAY:
            return self._array(argument, depth)
        if major == MAP:
            return self._map(argument, depth)
        return _simple(major, argument)

    def _head(self) -> tuple:  # type: ignore[type-arg]
        first = self._take(1)[0]
        major, short = first >> 5, first & 31
        if short < ONE_BYTE:
            return major, short
        size = ARGUMENT_BYTES.get(short)
        if size is None or major == SIMPLE:
            raise CodecError("A head of an unknown or indefinite form.", "codec-head")
        argument = int.from_bytes(self._take(size), "big")
        if argument < ONE_BYTE or (size > 1 and argument < 1 << (4 * size)):
            raise CodecError("A head is longer than it need be.", "codec-shortest")
        return major, argument

    def _take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise CodecError("The value is cut short.", "codec-truncated")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def _array(self, count: int, depth: int) -> list:  # type: ignore[type-arg]
        self._expect(count)
        return [self.value(depth + 1) for _ in range(count)]

    def _map(self, count: int, depth: int) -> dict:  # type: ignore[type-arg]
        self._expect(2 * count)
        result = {}
        before = b""
        for _ in range(count):
            start = self.at
            key = self.value(depth + 1)
            if isinstance(key, bool) or not isinstance(key, (int, str)):
                raise CodecError("A map key is neither integer nor text.", "codec-key")
            spelled = self.data[start : self.at]
            if spelled <= before:
                raise CodecError("Map keys are unsorted or repeated.", "codec-order")
            before = spelled
            result[key] = self.value(depth + 1)
        return result

    def _expect(self, count: int) -> None:
        """Refuses a container that says it holds more than the bytes that are left can spell."""
        if count > len(self.data) - self.at:
            raise CodecError("The value is cut short.", "codec-truncated")


def _simple(major: int, argument: int) -> object:
    if major == SIMPLE and argument == 20:
        return False
    if major == SIMPLE and argument == 21:
        return True
    if major == SIMPLE and argument == 22:
        return None
    raise CodecError("A tag, float or unknown simple value.", "codec-type")


# ------------------------------------------------------------------ deflate
def deflate(data: bytes) -> bytes:
    """Compresses to raw DEFLATE (RFC 1951)."""
    if not HAS_ZLIB:  # pragma: no cover - runs on MicroPython alone
        return _deflate_micro(data)
    worker = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW_BITS)
    return worker.compress(data) + worker.flush()


def inflate(data: bytes, limit_bytes: int) -> bytes:
    """Expands raw DEFLATE, never past a limit.

    Args:
        data: Hostile bytes.
        limit_bytes: Most bytes that may come out.

    Raises:
        CodecError: The stream is damaged, cut short, followed by more, or expands past the limit.
    """
    if not HAS_ZLIB:
        return _expand(data, limit_bytes)
    worker = zlib.decompressobj(WINDOW_BITS)
    try:
        result = worker.decompress(data, limit_bytes + 1)
    except zlib.error:
        raise CodecError("The compressed bytes are damaged.", "codec-deflate") from None
    if len(result) > limit_bytes:
        raise CodecError("The compressed bytes expand past the limit.", "codec-expansion")
    if not worker.eof or worker.unused_data:
        raise CodecError("The compressed bytes are cut short or followed.", "codec-deflate")
    return result


def _deflate_micro(data: bytes) -> bytes:  # pragma: no cover - runs on MicroPython alone
    import io

    micro = __import__("deflate")
    if not data or not hasattr(micro.DeflateIO, "write"):
        return _store(data)  # a stream that nothing was written to would have no end
    target = io.BytesIO()
    with micro.DeflateIO(target, micro.RAW, 10) as stream:
        stream.write(data)
    return target.getvalue()


def _expand(data: bytes, limit_bytes: int) -> bytes:
    try:
        return expand(data, limit_bytes)
    except PeerError as refusal:
        raise CodecError(str(refusal), refusal.code) from None


def _store(data: bytes) -> bytes:
    """Writes DEFLATE that does not compress, for a MicroPython that can only expand."""
    out = bytearray()
    for start in range(0, max(len(data), 1), STORED_BYTES_MAX):
        piece = data[start : start + STORED_BYTES_MAX]
        out.append(1 if start + STORED_BYTES_MAX >= len(data) else 0)
        out += len(piece).to_bytes(2, "little") + (len(piece) ^ 0xFFFF).to_bytes(2, "little")
        out += piece
    return bytes(out)

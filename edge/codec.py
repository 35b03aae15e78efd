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

TYPE_CHECKING = False  # MicroPython has no typing; type checkers take this name as true
if TYPE_CHECKING:
    from typing import Any

try:
    import zlib

    HAS_ZLIB = True
except ImportError:  # MicroPython has `deflate` and `io` in its place
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


class CodecError(PeerError):
    """Bytes that are not of this subset, or that go past a limit."""


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


def _write(out: bytearray, value: object, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise LocalError("A value is nested too deep to encode.", "codec-encode")
    if value is None:
        out += NULL
    elif isinstance(value, bool):
        out += TRUE if value else FALSE
    elif isinstance(value, int):
        _write_integer(out, value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        _write_octets(out, BYTES, bytes(value))
    elif isinstance(value, str):
        _write_octets(out, TEXT, _utf8(value))
    elif isinstance(value, dict):
        _write_map(out, value, depth + 1)
    else:
        _write_array(out, value, depth + 1)


def _write_octets(out: bytearray, major: int, value: bytes) -> None:
    _write_head(out, major, len(value))
    out += value


def _write_array(out: bytearray, value: object, depth: int) -> None:
    if not isinstance(value, (list, tuple)):
        name = type(value).__name__
        raise LocalError("A value of type " + name + " cannot be encoded.", "codec-encode")
    _write_head(out, ARRAY, len(value))
    for item in value:
        _write(out, item, depth)


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeError:
        raise LocalError(
            "A text with a lone surrogate cannot be encoded.", "codec-encode"
        ) from None


def _write_integer(out: bytearray, value: int) -> None:
    if not -INTEGER_LIMIT <= value < INTEGER_LIMIT:
        raise LocalError("An integer of more than 64 bits cannot be encoded.", "codec-encode")
    if value >= 0:
        _write_head(out, UNSIGNED, value)
    else:
        _write_head(out, NEGATIVE, -1 - value)


def _write_map(out: bytearray, value: dict, depth: int) -> None:  # type: ignore[type-arg]
    pairs = []
    for key in value:
        if isinstance(key, bool) or not isinstance(key, (int, str)):
            raise LocalError("A map key must be an integer or a text.", "codec-encode")
        head = bytearray()
        _write(head, key, depth)
        pairs.append((bytes(head), key))
    pairs.sort(key=lambda pair: pair[0])
    _write_head(out, MAP, len(pairs))
    for spelled, key in pairs:
        out += spelled
        _write(out, value[key], depth)


def _write_head(out: bytearray, major: int, argument: int) -> None:
    first = major << 5
    if argument < ONE_BYTE:
        out.append(first | argument)
        return
    for short, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << (8 * size):
            out.append(first | short)
            out += argument.to_bytes(size, "big")
            return
    raise LocalError("A length of more than 64 bits cannot be encoded.", "codec-encode")


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
            return self._text(argument)
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

    def _text(self, count: int) -> str:
        try:
            return str(self._take(count), "utf-8")
        except (UnicodeError, ValueError):
            raise CodecError("A text is not UTF-8.", "codec-text") from None

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
    if not HAS_ZLIB:
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
        return _inflate_micro(data, limit_bytes)
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
    target = io.BytesIO()
    with micro.DeflateIO(target, micro.RAW, 10) as stream:
        stream.write(data)
    return target.getvalue()


def _inflate_micro(data: bytes, limit_bytes: int) -> bytes:  # pragma: no cover - as above
    import io

    micro = __import__("deflate")
    try:
        with micro.DeflateIO(io.BytesIO(data), micro.RAW, 15) as stream:
            result = stream.read(limit_bytes + 1)
    except (OSError, EOFError, ValueError):
        raise CodecError("The compressed bytes are damaged.", "codec-deflate") from None
    if len(result) > limit_bytes:
        raise CodecError("The compressed bytes expand past the limit.", "codec-expansion")
    return bytes(result)

"""Raw DEFLATE expanded in Python, as strictly as zlib does (RFC 1951).

Place in the flow: **inflate** → codec, on MicroPython. What that has built in lets a copy begin
before the first byte, so that a damaged stream expands to what lay in its memory, and takes codes
that no encoder makes. The same file runs on both Pythons, so that tests hold it against zlib.

    block   last (1 bit) | kind (2)      0 stored   1 fixed codes   2 codes of its own
    code    canonical Huffman, kept as (how many of each length, symbols in order)

* Work and memory are bounded by the input and the limit; nothing is written past the limit.
* Over-subscribed and incomplete codes, unused symbols and distances before the start are refused.
* It is slow: 4 KiB of text took 7 ms on CPython and 75 ms on MicroPython as WASM. What is
  sent down to a microcontroller is small.
"""

from edge.errors import PeerError

TYPE_CHECKING = False  # MicroPython has no typing; type checkers take this name as true
if TYPE_CHECKING:
    from collections.abc import Sequence

    Code = tuple[list[int], list[int]]

BITS_MAX = 15
END = 256
LITERALS_MAX, DISTANCES_MAX = 286, 30
ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
# Of symbol 257 and those after it: the shortest length, and how many bits say how much more.
LENGTHS = (
    (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0),
    (11, 1), (13, 1), (15, 1), (17, 1), (19, 2), (23, 2), (27, 2), (31, 2),
    (35, 3), (43, 3), (51, 3), (59, 3), (67, 4), (83, 4), (99, 4), (115, 4),
    (131, 5), (163, 5), (195, 5), (227, 5), (258, 0),
)  # fmt: skip
STORED, FIXED, OWN = 0, 1, 2
REPEATS = {16: (3, 2), 17: (3, 3), 18: (11, 7)}


def expand(data: bytes, limit_bytes: int) -> bytes:
    """Expands exactly one stream that fills `data`.

    Args:
        data: Hostile bytes.
        limit_bytes: Most bytes that may come out.

    Raises:
        PeerError: Damaged, cut short or followed (`codec-deflate`); too long (`codec-expansion`).
    """
    reader = _Bits(data)
    out = bytearray()
    last = 0
    while not last:
        last, kind = reader.take(1), reader.take(2)
        if kind == STORED:
            _stored(reader, out, limit_bytes)
        elif kind == FIXED:
            _coded(reader, out, limit_bytes, _fixed())
        elif kind == OWN:
            _coded(reader, out, limit_bytes, _own(reader))
        else:
            raise _damaged()
    if reader.at != len(data):
        raise PeerError("The compressed bytes are followed by others.", "codec-deflate")
    return bytes(out)


def _damaged() -> PeerError:
    return PeerError("The compressed bytes are damaged.", "codec-deflate")


class _Bits:
    """Reads bits, lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.held = 0
        self.count = 0

    def take(self, count: int) -> int:
        while self.count < count:
            if self.at == len(self.data):
                raise PeerError("The compressed bytes are cut short.", "codec-deflate")
            self.held |= self.data[self.at] << self.count
            self.at += 1
            self.count += 8
        value = self.held & ((1 << count) - 1)
        self.held >>= count
        self.count -= count
        return value

    def octets(self, count: int) -> bytes:
        """Takes whole bytes; what is left of the byte before is padding."""
        self.held = self.count = 0
        taken = self.data[self.at : self.at + count]
        if len(taken) < count:
            raise PeerError("The compressed bytes are cut short.", "codec-deflate")
        self.at += count
        return taken

    def symbol(self, code: "Code") -> int:
        """Reads a symbol bit by bit; most time goes here, so nothing is called for a bit."""
        counts, symbols = code
        value = first = index = 0
        held, count = self.held, self.count
        for size in range(1, BITS_MAX + 1):
            if not count:
                held, count = self.octets(1)[0], 8
            value |= held & 1
            held >>= 1
            count -= 1
            known = counts[size]
            if value - known < first:
                self.held, self.count = held, count
                return symbols[index + value - first]
            index += known
            first = (first + known) << 1
            value <<= 1
        raise _damaged()


def _code_of(lengths: "Sequence[int]", whole: bool = False) -> "Code":
    """Makes the canonical code of lengths; one symbol alone may leave the other half unused."""
    counts = [0] * (BITS_MAX + 1)
    for size in lengths:
        counts[size] += 1
    left = 1
    for size in range(1, BITS_MAX + 1):
        left = 2 * left - counts[size]
        if left < 0:
            raise _damaged()
    used = len(lengths) - counts[0]
    if left and (whole or used != counts[1]):
        raise _damaged()
    places = [0, 0]
    for size in range(1, BITS_MAX):
        places.append(places[size] + counts[size])
    symbols = [0] * used
    for symbol, size in enumerate(lengths):
        if size:
            symbols[places[size]] = symbol
            places[size] += 1
    counts[0] = 0
    return counts, symbols


def _fixed() -> "tuple[Code, Code]":
    literals = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8
    return _code_of(literals), _code_of([5] * 32)


def _own(reader: _Bits) -> "tuple[Code, Code]":
    literals, distances, count = reader.take(5) + 257, reader.take(5) + 1, reader.take(4) + 4
    if literals > LITERALS_MAX or distances > DISTANCES_MAX:
        raise _damaged()
    sizes = [0] * len(ORDER)
    for place in ORDER[:count]:
        sizes[place] = reader.take(3)
    code = _code_of(sizes, whole=True)
    lengths: list[int] = []
    while len(lengths) < literals + distances:
        lengths += _lengths(reader, reader.symbol(code), lengths)
    if len(lengths) > literals + distances or not lengths[END]:
        raise _damaged()
    return _code_of(lengths[:literals]), _code_of(lengths[literals:])


def _lengths(reader: _Bits, symbol: int, before: "list[int]") -> "list[int]":
    if symbol not in REPEATS:
        return [symbol]
    least, bits = REPEATS[symbol]
    if symbol == 16 and not before:
        raise _damaged()
    return [before[-1] if symbol == 16 else 0] * (least + reader.take(bits))


def _stored(reader: _Bits, out: bytearray, limit_bytes: int) -> None:
    size = int.from_bytes(reader.octets(2), "little")
    if size ^ 0xFFFF != int.from_bytes(reader.octets(2), "little"):
        raise _damaged()
    _require_room(len(out) + min(size, len(reader.data) - reader.at), limit_bytes)
    out += reader.octets(size)


def _coded(reader: _Bits, out: bytearray, limit_bytes: int, codes: "tuple[Code, Code]") -> None:
    literals, distances = codes
    symbol = reader.symbol(literals)
    while symbol != END:
        if symbol < END:
            out.append(symbol)
        else:
            size, distance = _match(reader, symbol, distances)
            if distance > len(out):
                raise _damaged()
            _copy(out, size, distance)
        _require_room(len(out), limit_bytes)
        symbol = reader.symbol(literals)


def _match(reader: _Bits, symbol: int, distances: "Code") -> "tuple[int, int]":
    """Returns how much is copied from how far back."""
    place = symbol - END - 1
    if place >= len(LENGTHS):
        raise _damaged()
    size, extra = LENGTHS[place]
    size += reader.take(extra)
    far = reader.symbol(distances)
    if far >= DISTANCES_MAX:
        raise _damaged()
    if far < 2:
        return size, far + 1
    bits = far // 2 - 1
    return size, 1 + ((2 + far % 2) << bits) + reader.take(bits)


def _copy(out: bytearray, size: int, distance: int) -> None:
    """Copies from behind; a copy longer than its distance repeats itself."""
    start = len(out) - distance
    piece = bytes(out[start : start + size])
    while size > 0:
        out += piece[:size]
        size -= len(piece)


def _require_room(size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise PeerError("The compressed bytes expand past the limit.", "codec-expansion")

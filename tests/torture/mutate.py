"""Damage: from a good file and a random generator to a bad one. The same generator gives the same bytes."""

from __future__ import annotations

import json
import random
import re
import zlib

LARGEST = 1 << 20  # bytes; results that are longer, and twice as long as the good file, are cut
LARGEST_PIECE = 1 << 14

_INTERESTING = (
    0,
    1,
    2,
    7,
    127,
    128,
    255,
    256,
    32_767,
    32_768,
    65_535,
    65_536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
)
_WORDS = (
    "", "0", "-1", "1e999", "-1e999", "nan", "inf", "true", "null", "[]", "{}", '""', "[[[[]]]]", "99999999999999999999999999",
    "9" * 5000, "1.7976931348623157e308", '"\\u0000"', '"\\ud800"', '"../../../../etc/passwd"', '"/dev/zero"', '"/dev/stdin"',
    '"http://127.0.0.1:9/x"', '"<img src=x>"', '"%d%n%s"', "1979-05-27T07:32:00Z", "0x7fffffffffffffff", "\ufeff", "\u202e",
    '"' + "a" * 70_000 + '"',
)  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_STRING = re.compile(rb'"[^"\n]*"')
_PNG = b"\x89PNG\r\n\x1a\n"


def mutate(good: bytes, other: bytes, draw: random.Random, *, is_text: bool) -> bytes:
    """Damage `good` one to four times; `other` is another good file to take pieces from."""
    data, other, limit = bytearray(good), other[:LARGEST_PIECE], max(LARGEST, 2 * len(good))
    ways = (*_TEXT, *_BYTES) if is_text else _BYTES
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        data = bytearray(draw.choice(ways)(data, other, draw))[:limit]
    if data.startswith(_PNG) and draw.random() < 0.7:
        data = with_right_checksums(data)
    return bytes(data)


def _place(data: bytes | bytearray, draw: random.Random) -> int:
    """A position, near the beginning, where headers are, as often as anywhere."""
    return draw.randrange(min(len(data), 256) if draw.random() < 0.5 else len(data)) if data else 0


def _flip(data: bytearray, other: bytes, draw: random.Random) -> bytearray:
    for _ in range(draw.choice((1, 1, 3, 20))):
        if data:
            data[_place(data, draw)] ^= 1 << draw.randrange(8)
    return data


def _number(data: bytearray, other: bytes, draw: random.Random) -> bytearray:
    size, order = draw.choice((1, 2, 4, 8)), draw.choice(("little", "big"))
    value = draw.choice(_INTERESTING) % (1 << 8 * size)
    at = _place(data, draw)
    data[at : at + size] = value.to_bytes(size, order)  # type: ignore[arg-type]
    return data


def _cut(data: bytearray, other: bytes, draw: random.Random) -> bytearray:
    return data[: _place(data, draw)]


def _remove(data: bytearray, other: bytes, draw: random.Random) -> bytearray:
    at = _place(data, draw)
    del data[at : at + draw.choice((1, 4, 16, 1000))]
    return data


def _repeat(data: bytearray, other: bytes, draw: random.Random) -> bytearray:
    at, size = _place(data, draw), draw.choice((1, 4, 16, 300))
    data[at:at] = data[at : at + size] * draw.choice((1, 3, 200))
    return data


def _insert(data: bytearray, other: bytes, draw: random.Random) -> bytearray:
    at = _place(data, draw)
    data[at:at] = draw.choice((draw.randbytes(8), bytes(64), b"\xff" * 64, b"\0", b"\n"))
    return data


def _splice(data: bytearray, other: bytes, draw: random.Random) -> bytearray:
    return data[: _place(data, draw)] + bytearray(other[_place(other, draw) :])


def _zeros(data: bytearray, other: bytes, draw: random.Random) -> bytearray:
    at = _place(data, draw)
    data[at : at + 512] = bytes(len(data[at : at + 512]))
    return data


def _word(data: bytearray, other: bytes, draw: random.Random) -> bytearray:
    """Put a hostile word in the place of a number or of a string."""
    places = [match.span() for pattern in (_NUMBER, _STRING) for match in pattern.finditer(data)]
    if places:
        start, end = draw.choice(places)
        data[start:end] = draw.choice(_WORDS).encode("utf-8", "surrogatepass")
    return data


def _line(data: bytearray, other: bytes, draw: random.Random) -> bytearray:
    """Take out, repeat, or bring in lines."""
    lines, strange = bytes(data).split(b"\n"), other.split(b"\n")
    at = draw.randrange(len(lines))
    match draw.randrange(3):
        case 0:
            del lines[at]
        case 1:
            lines[at:at] = [lines[at][:1000]] * draw.choice((1, 2, 500))
        case _:
            lines.insert(at, draw.choice(strange))
    return bytearray(b"\n".join(lines))


def _deep(data: bytearray, other: bytes, draw: random.Random) -> bytearray:
    at, depth = _place(data, draw), draw.choice((50, 2000, 100_000))
    opening, closing = draw.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"{a=", b"}")))
    data[at:at] = opening * depth + b"1" + closing * depth
    return data


def _value(data: bytearray, other: bytes, draw: random.Random) -> bytearray:
    """Change one value somewhere in a JSON object, so that it stays JSON."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return data
    at = content
    while isinstance(at, dict | list) and at:
        key = draw.choice(list(at)) if isinstance(at, dict) else draw.randrange(len(at))
        if not isinstance(at[key], dict | list) or not at[key] or draw.random() < 0.3:
            at[key] = draw.choice(
                (None, -1, 0, 1e308, 2**70, float("nan"), "", "x" * 9000, [], {}, [[]], True, "\ud800")
            )
            break
        at = at[key]
    return bytearray(json.dumps(content).encode("utf-8", "surrogatepass"))


_BYTES = (_flip, _number, _cut, _remove, _repeat, _insert, _splice, _zeros)
_TEXT = (_word, _word, _word, _line, _deep, _value, _value)


def with_right_checksums(data: bytes | bytearray) -> bytearray:
    """Compute a PNG's checksums again, so that its damage gets as far as the decoder."""
    result, at = bytearray(data), len(_PNG)
    while at + 12 <= len(result):
        end = at + 8 + int.from_bytes(result[at : at + 4])
        if end + 4 > len(result):
            break
        result[end : end + 4] = zlib.crc32(result[at + 4 : end]).to_bytes(4)
        at = end + 4
    return result

"""The one step of ed25519 that genesis needs: the public key of a seed (RFC 8032, section 5.1.5)."""

from __future__ import annotations

import hashlib
from typing import Final

_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P
_BASE_Y: Final = 4 * pow(5, -1, _P) % _P
_SEED_BYTES: Final = 32

_Point = tuple[int, int, int, int]
"""Extended coordinates X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z."""
_NEUTRAL: Final[_Point] = (0, 1, 1, 0)


def public_key(seed: bytes) -> bytes:
    """Returns the public key of a secret seed, both of 32 bytes; not in constant time: for seeds that all know.

    Raises:
        ValueError: the seed has another length.
    """
    if len(seed) != _SEED_BYTES:
        raise ValueError(f"an ed25519 seed has {_SEED_BYTES} bytes, got {len(seed)}")
    digest = hashlib.sha512(seed).digest()[:32]
    scalar = int.from_bytes(digest, "little") & ((1 << 254) - 8) | (1 << 254)
    x, y, z, _ = _times(scalar, _base())
    inverse = pow(z, -1, _P)
    sign = x * inverse % _P & 1
    return ((y * inverse % _P) | sign << 255).to_bytes(32, "little")


def _base() -> _Point:
    """Returns the base point: y = 4/5 and x even."""
    square = (_BASE_Y * _BASE_Y - 1) * pow(_D * _BASE_Y * _BASE_Y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    if x & 1:
        x = _P - x
    return x, _BASE_Y, 1, x * _BASE_Y % _P


def _times(scalar: int, point: _Point) -> _Point:
    product = _NEUTRAL
    while scalar:
        if scalar & 1:
            product = _sum(product, point)
        point = _sum(point, point)
        scalar >>= 1
    return product


def _sum(one: _Point, other: _Point) -> _Point:
    """Adds two points (RFC 8032, section 5.1.4)."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P

"""Awkward values by name; every decoder is tried with all that apply to it."""

from __future__ import annotations

import errno

from omnilytics_flwr.crypto.curve import BASE_MODULUS as BASE_MODULUS
from omnilytics_flwr.crypto.field import R
from omnilytics_flwr.crypto.masks import CURVE_PRIME as CURVE_PRIME

ZERO = bytes(32)
ONE = (1).to_bytes(32, "big")
MODULUS_MINUS_ONE = (R - 1).to_bytes(32, "big")
MODULUS = R.to_bytes(32, "big")
MODULUS_PLUS_ONE = (R + 1).to_bytes(32, "big")
WORD_MAX = b"\xff" * 32

CANONICAL_WORDS = {"ZERO": ZERO, "ONE": ONE, "MODULUS_MINUS_ONE": MODULUS_MINUS_ONE}
NON_CANONICAL_WORDS = {"MODULUS": MODULUS, "MODULUS_PLUS_ONE": MODULUS_PLUS_ONE, "WORD_MAX": WORD_MAX}

GENERATOR_X = 0x17F1D3A73197D7942695638C4FA9AC0FC3688C4F9774B905A14E3A3F171BAC586C55E83FF97A1AEFFB3AF00ADB22C6BB
GENERATOR_Y = 0x08B3F481E3AAA0F1A09E30ED741D8AE4FCF5E095D5D00AF600DB18CB2C04B3EDD03CC744A2888AE40CAA232946C5E7E1


def point(x: int, y: int) -> bytes:
    """Coordinates as they travel, whether they are a point or not."""
    return x.to_bytes(48, "big") + y.to_bytes(48, "big")


GENERATOR = point(GENERATOR_X, GENERATOR_Y)
INFINITY = bytes(96)
OFF_CURVE = point(GENERATOR_X, GENERATOR_Y + 1)
WRONG_SUBGROUP = point(0, 2)
"""On the curve, of order 3."""
X_NOT_REDUCED = point(BASE_MODULUS, 2)
"""The x of a point, more the order of the field."""
Y_NOT_REDUCED = point(GENERATOR_X, GENERATOR_Y + BASE_MODULUS)
ALL_ONES = b"\xff" * 96
INFINITY_FLAGGED = point(0x40 << 376, 0)
"""Infinity as other encodings flag it."""

NOT_ON_CURVE = {
    "OFF_CURVE": OFF_CURVE,
    "X_NOT_REDUCED": X_NOT_REDUCED,
    "Y_NOT_REDUCED": Y_NOT_REDUCED,
    "ALL_ONES": ALL_ONES,
    "INFINITY_FLAGGED": INFINITY_FLAGGED,
}
BAD_POINTS = {**NOT_ON_CURVE, "WRONG_SUBGROUP": WRONG_SUBGROUP}

LOW_ORDER_KEYS = {
    "ORDER_4": 0,
    "ORDER_1": 1,
    "ORDER_8": 325606250916557431795983626356110631294008115727848805560023387167927233504,
    "ORDER_8_TOO": 39382357235489614581723060781553021112529911719440698176882885853963445705823,
    "ORDER_2": CURVE_PRIME - 1,
}
NON_CANONICAL_KEYS = {
    "PRIME": CURVE_PRIME,
    "PRIME_PLUS_ONE": CURVE_PRIME + 1,
    "PRIME_PLUS_NINE": CURVE_PRIME + 9,
    "TOP_BIT": 1 << 255 | 9,
    "ALL_ONES": (1 << 256) - 1,
}


def short_by_one(raw: bytes) -> bytes:
    """`raw` without its last byte."""
    return raw[:-1]


def long_by_one(raw: bytes) -> bytes:
    """`raw` and a zero byte."""
    return raw + b"\0"


def full_disk(*_: object) -> None:
    """What a system call does on a full disk."""
    raise OSError(errno.ENOSPC, "No space left on device")

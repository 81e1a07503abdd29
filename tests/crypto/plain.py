"""Slow and plain twins of the fast cryptography: Python integers, textbook algorithms, c-kzg. These are the definitions."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import combinations
from math import lcm
from pathlib import Path

import ckzg
from Crypto.Cipher import ChaCha20
from Crypto.Hash import keccak

R = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
N = 4096
ROOT = pow(7, (R - 1) // N, R)
BIT_REVERSED = [int(f"{i:012b}"[::-1], 2) for i in range(N)]
Sums = tuple[tuple[tuple[int, ...], ...], ...]
"""N values of each polynomial of each group taking part."""
H = [pow(ROOT, i, R) for i in BIT_REVERSED]


@cache
def setup() -> object:
    """The ceremony as c-kzg loads it; takes seconds, hence once a process."""
    spec = find_spec("eth_account")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    (path,) = Path(spec.submodule_search_locations[0]).rglob("kzg_trusted_setup.txt")
    return ckzg.load_trusted_setup(str(path), 0)


def blob(values: Sequence[int]) -> bytes:
    return b"".join(value.to_bytes(32, "big") for value in values)


def commitment(values: Sequence[int]) -> bytes:
    return bytes(ckzg.blob_to_kzg_commitment(blob(values), setup()))


def opening(values: Sequence[int], point: int) -> tuple[bytes, int]:
    proof, value = ckzg.compute_kzg_proof(blob(values), point.to_bytes(32, "big"), setup())
    return proof, int.from_bytes(value, "big")


def uncompress(raw: bytes) -> bytes:
    """A compressed point as it travels, by the curve's equation."""
    p = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
    if raw[0] & 0x40:
        return bytes(96)
    x = int.from_bytes(bytes([raw[0] & 0x1F]) + raw[1:], "big")
    y = pow(x**3 + 4, (p + 1) // 4, p)
    if (y > (p - 1) // 2) != bool(raw[0] & 0x20):
        y = p - y
    return x.to_bytes(48, "big") + y.to_bytes(48, "big")


def padded(point: bytes) -> bytes:
    """EIP-2537 form of a point."""
    return bytes(16) + point[:48] + bytes(16) + point[48:]


def transform(coefficients: Sequence[int], root: int) -> list[int]:
    """Values at 1, root, root^2, ... by the textbook recursion."""
    if len(coefficients) == 1:
        return list(coefficients)
    even, odd = (transform(coefficients[start::2], root * root % R) for start in (0, 1))
    half, low, high, power = len(even), [], [], 1
    for i in range(half):
        term = odd[i] * power % R
        low.append((even[i] + term) % R)
        high.append((even[i] - term) % R)
        power = power * root % R
    return low + high


def coefficients_of(values: Sequence[int]) -> list[int]:
    """Coefficients of the polynomial with these values on H."""
    natural = [values[i] for i in BIT_REVERSED]
    inverse = pow(N, -1, R)
    return [c * inverse % R for c in transform(natural, pow(ROOT, -1, R))]


def values_of(coefficients: Sequence[int]) -> list[int]:
    """Values on H of a polynomial of degree below N."""
    natural = transform(coefficients, ROOT)
    return [natural[i] for i in BIT_REVERSED]


def first_out_of_range(values: Sequence[int], *, members: int, bits: int) -> int | None:
    """The first element that is no pair of sums of `members` quantised weights, 84 bits apart."""
    most = members * (2 ** (bits - 1) - 1)
    for place, value in enumerate(values):
        high, low = divmod((value + most + (most << 84)) % R, 1 << 84)
        if max(low, high) > 2 * most:
            return place
    return None


def square(coefficients: Sequence[int]) -> list[int]:
    """2 N coefficients of the square of a polynomial of degree below N."""
    root = pow(7, (R - 1) // (2 * N), R)
    values = [v * v % R for v in transform([*coefficients, *[0] * N], root)]
    inverse = pow(2 * N, -1, R)
    return [c * inverse % R for c in transform(values, pow(root, -1, R))]


def evaluate(coefficients: Sequence[int], point: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * point + coefficient) % R
    return value


def hash256(*parts: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=b"".join(parts)).digest()


def words(numbers: Sequence[int]) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in numbers)


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, one block."""
    extracted = hmac.new(salt, secret, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def expand(key: bytes, length: int) -> list[int]:
    stream = ChaCha20.new(key=key, nonce=bytes(8))
    result: list[int] = []
    while len(result) < length:
        value = int.from_bytes(stream.encrypt(bytes(32)), "big") % 2**255
        if value < R:
            result.append(value)
    return result


def squared_distances(sums: Sequence[Sequence[int]], sizes: Sequence[int]) -> list[int]:
    """T of all pairs from the plain sums of quantised updates, the zero update first."""
    scale = lcm(*sizes)
    rows = [[0] * len(sums[0])]
    rows += [[scale // size * u for u in row] for row, size in zip(sums, sizes, strict=True)]
    return [sum((a - b) ** 2 for a, b in zip(rows[i], rows[k], strict=True)) for i, k in combinations(range(len(rows)), 2)]


def project(values: Sequence[int], seed: bytes) -> list[int]:
    """The projection of a vector, one element at a time."""
    stream, result = ChaCha20.new(key=seed, nonce=bytes(8)), [0] * N
    for start in range(0, len(values), N):
        drawn = [int.from_bytes(stream.encrypt(bytes(2)), "little") for _ in range(4)]
        signs = stream.encrypt(bytes(2048))
        for copy, number in enumerate(drawn):
            rotation = 1024 * copy + number % 1024
            for i in range(N):
                sign = -1 if signs[512 * copy + i // 8] >> i % 8 & 1 else 1
                place = (i + rotation) % N
                result[place] = (result[place] + sign * values[start + i]) % R
    return result


def digest(points: Sequence[bytes]) -> bytes:
    """Root of the tree over some points, by the words of the protocol."""
    nodes = [hash256(point) for point in points]
    while len(nodes) > 1:
        nodes += [bytes(32)] * (-len(nodes) % 4)
        nodes = [hash256(*nodes[i : i + 4]) for i in range(0, len(nodes), 4)]
    return nodes[0]


@lru_cache
def squares_of(sizes: tuple[int, ...], sums: Sums) -> list[list[int]]:
    """2 N coefficients of the sum over the polynomials of (a_i - a_k)^2, for every pair of groups, the zero update first."""
    scale = lcm(*sizes)
    rows = [[[0] * N] * len(sums[0])]
    for size, row in zip(sizes, sums, strict=True):
        rows.append([[scale // size * c % R for c in coefficients_of(values)] for values in row])
    return [_square_distance(rows[i], rows[k]) for i, k in combinations(range(len(rows)), 2)]


def _square_distance(left: Sequence[Sequence[int]], right: Sequence[Sequence[int]]) -> list[int]:
    total = [0] * (2 * N)
    for a, b in zip(left, right, strict=True):
        gap = [(x - y) % R for x, y in zip(a, b, strict=True)]
        total = [(t + c) % R for t, c in zip(total, square(gap), strict=True)]
    return total


@dataclass
class Lies:
    """Where a dishonest prover departs from the protocol; what follows is computed from what it says."""

    values: Callable[[list[int]], list[int]] = list
    quotient: Callable[[list[int]], list[int]] = list
    remainder: Callable[[list[int]], list[int]] = list
    tail: Callable[[list[int]], list[int]] = list
    quotient_point: Callable[[bytes], bytes] = bytes
    remainder_point: Callable[[bytes], bytes] = bytes
    tail_point: Callable[[bytes], bytes] = bytes
    evaluations: Callable[[list[int], int], list[int]] = lambda ys, z: ys


@dataclass
class Plain:
    """A settlement's last part made from coefficients; arguments as the statement has them.

    `points` are the commitments of `sums`, 96 bytes each, in the same order.
    """

    context: bytes
    roster_hash: bytes
    sizes: Sequence[int]
    outside: int
    polynomials: int
    sums: Sums
    points: Sequence[bytes]

    def argue(self, lies: Lies | None = None) -> bytes:
        """V to opening proof."""
        lies = lies or Lies()
        taking = [size for i, size in enumerate(self.sizes) if not self.outside >> i & 1]
        squares = squares_of(tuple(taking), self.sums)
        # Over H a polynomial of degree below N sums to N times its constant term.
        values = lies.values([N * (square[0] + square[N]) % R for square in squares])

        numbers = words([self.polynomials, self.outside])
        hashes = hash256(words(self.sizes)) + hash256(*map(padded, self.points)) + hash256(words(values))
        d0 = hash256(hash256(b"OmniLytics/v2/rho"), self.context, self.roster_hash, numbers, hashes)
        rho = int.from_bytes(d0, "big") % R
        combined = [sum(pow(rho, p, R) * square[i] for p, square in enumerate(squares)) % R for i in range(2 * N)]
        # X^N = 1 + (X^N - 1), and the degree is at most 2 N - 2.
        remainder = lies.remainder([(combined[i] + combined[N + i]) % R for i in range(N)])
        quotient, tail = lies.quotient(combined[N:]), lies.tail([*remainder[1:], 0])
        c_q = lies.quotient_point(uncompress(commitment(values_of(quotient))))
        c_f = lies.remainder_point(uncompress(commitment(values_of(remainder))))
        c_e = lies.tail_point(uncompress(commitment(values_of(tail))))

        d1 = hash256(hash256(b"OmniLytics/v2/z"), d0, c_q, c_f, c_e)
        z = int.from_bytes(d1, "big") % R
        opened = [values for row in self.sums for values in row]
        evaluations = lies.evaluations([evaluate(coefficients_of(values), z) for values in opened], z)
        d2 = hash256(hash256(b"OmniLytics/v2/gamma"), d1, words(evaluations))
        gamma = int.from_bytes(d2, "big") % R
        opened.append(values_of([((pow(z, N, R) - 1) * q + f) % R for q, f in zip(quotient, remainder, strict=True)]))
        opened.append(values_of([(f - z * e) % R for f, e in zip(remainder, tail, strict=True)]))
        fold = [sum(pow(gamma, i, R) * values[j] for i, values in enumerate(opened)) % R for j in range(N)]
        proof, _ = opening(fold, z)
        return words(values) + c_q + c_f + c_e + words(evaluations) + proof

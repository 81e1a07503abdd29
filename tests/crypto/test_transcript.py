from __future__ import annotations

from dataclasses import replace

import pytest

from omnilytics_flwr.crypto.field import R
from omnilytics_flwr.crypto.hashing import word
from omnilytics_flwr.crypto.statement import Statement
from omnilytics_flwr.crypto.transcript import Challenge, challenge_gamma, challenge_rho, challenge_z

from .plain import hash256, padded, words

STATEMENT = Statement(b"\x01" * 32, b"\x02" * 32, (3, 4, 3), 0b010, 1)
POINTS = [b"\x03" * 96, b"\x04" * 96]
VALUES = [5, R - 1, 7]


def rho(statement: Statement = STATEMENT, points: list[bytes] = POINTS, values: list[int] = VALUES) -> Challenge:
    return challenge_rho(statement, points=points, values=values)


def test_challenges_hash_what_the_protocol_says() -> None:
    d0 = hash256(
        hash256(b"OmniLytics/v2/rho"),
        b"\x01" * 32 + b"\x02" * 32,
        words([1, 0b010]),
        hash256(words([3, 4, 3])) + hash256(b"".join(map(padded, POINTS))) + hash256(words(VALUES)),
    )
    d1 = hash256(hash256(b"OmniLytics/v2/z"), d0, b"\x05" * 96, b"\x06" * 96, b"\x07" * 96)
    d2 = hash256(hash256(b"OmniLytics/v2/gamma"), d1, words([8, 9]))
    first = rho()
    second = challenge_z(first, quotient=b"\x05" * 96, remainder=b"\x06" * 96, tail=b"\x07" * 96)
    third = challenge_gamma(second, evaluations=[8, 9])
    assert [first.digest, second.digest, third.digest] == [d0, d1, d2]
    assert [c.scalar for c in (first, second, third)] == [int.from_bytes(d, "big") % R for d in (d0, d1, d2)]


@pytest.mark.parametrize(
    "changed",
    [
        rho(replace(STATEMENT, context=b"\x09" * 32)),
        rho(replace(STATEMENT, roster_hash=b"\x09" * 32)),
        rho(replace(STATEMENT, sizes=(3, 3, 4))),
        rho(replace(STATEMENT, outside=0)),
        rho(replace(STATEMENT, polynomials=2)),
        rho(points=POINTS[::-1]),
        rho(values=[5, R - 1, 8]),
    ],
    ids=["context", "roster", "sizes", "outside", "polynomials", "points", "values"],
)
def test_rho_changes_with_everything_that_is_claimed(changed: Challenge) -> None:
    assert changed.digest != rho().digest


def test_later_challenges_change_with_what_came_before() -> None:
    c_q, c_f, c_e = b"\x05" * 96, b"\x06" * 96, b"\x07" * 96
    digests = {
        challenge_z(rho(), quotient=c_q, remainder=c_f, tail=c_e).digest,
        challenge_z(rho(), quotient=c_f, remainder=c_q, tail=c_e).digest,
        challenge_z(rho(), quotient=c_q, remainder=c_e, tail=c_f).digest,
        challenge_z(rho(values=[1, 2, 3]), quotient=c_q, remainder=c_f, tail=c_e).digest,
        challenge_gamma(rho(), evaluations=[1, 2]).digest,
        challenge_gamma(rho(), evaluations=[2, 1]).digest,
        challenge_gamma(rho(values=[1, 2, 3]), evaluations=[1, 2]).digest,
    }
    assert len(digests) == 7


@pytest.mark.parametrize(("value", "last"), [(0, b"\0"), (1, b"\x01"), (0x1234, b"\x12\x34")])
def test_word_is_big_endian_and_32_bytes(value: int, last: bytes) -> None:
    assert word(value) == last.rjust(32, b"\0")


def test_word_of_what_does_not_fit_raises() -> None:
    with pytest.raises(OverflowError):
        word(1 << 256)

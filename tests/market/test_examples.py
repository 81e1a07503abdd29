"""How much each member of a group counts: shares of h, by numbers that the members signed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnilytics_flwr.crypto.address import address_bytes
from omnilytics_flwr.errors import Malformed, OmnilyticsError, TaskMismatch, WrongLength
from omnilytics_flwr.market.examples import ExampleTable, SignedExamples, counts, group_examples, shares
from omnilytics_flwr.market.messages import Examples
from omnilytics_flwr.market.task import MOST_EXAMPLES, examples_of
from omnilytics_flwr.market.terms import Address
from tests.support.builders import MARKET, STRANGER, address_of, sign_hash

CHAIN = 31337
GROUP = tuple(address_of(number) for number in (4, 0, 2))
NUMBERS = st.integers(1, MOST_EXAMPLES)


def signed(number: int, examples: int, *, by: int | None = None, chain_id: int = CHAIN, market: Address = MARKET) -> SignedExamples:
    message = Examples(examples).signing_hash(chain_id=chain_id, market=market)
    return SignedExamples(address_of(number), examples, sign_hash(number if by is None else by, message))


def counts_in(table: ExampleTable) -> tuple[int, ...]:
    return table.counts(GROUP, chain_id=CHAIN, market=MARKET)


TABLE = ExampleTable.of([signed(0, 30), signed(1, 500), signed(2, 20), signed(4, 10)])


def test_members_count_by_their_examples_and_shares_add_up_to_the_members() -> None:
    assert counts_in(TABLE) == (10, 30, 20)
    assert shares((10, 30, 20)) == (0.5, 1.5, 1.0)


@given(st.lists(NUMBERS, min_size=3, max_size=17))
def test_shares_are_those_of_fedavg_up_to_twice_the_median(examples: list[int]) -> None:
    most = 2 * sorted(examples)[(len(examples) - 1) // 2]
    found = shares(counts(examples))
    assert sum(found) == pytest.approx(len(examples))
    for share, number in zip(found, examples, strict=True):
        assert share == pytest.approx(len(examples) * min(number, most) / sum(min(one, most) for one in examples))
        assert 0 < share <= len(examples)
    assert shares(counts([examples[0]] * 5)) == (1.0,) * 5, "exactly, so that nothing changes where all have as many"


def test_giant_and_liar_count_twice_the_median() -> None:
    assert counts([10, MOST_EXAMPLES, 10]) == (10, 20, 10)
    assert counts([10, 30, 20, 500]) == (10, 30, 20, 40), "the lower median, so that two giants of four count no more"


@pytest.mark.parametrize("missing", [0, 2, 4])
def test_group_of_which_one_has_signed_nothing_counts_the_same(missing: int) -> None:
    table = replace(TABLE, rows=tuple(row for row in TABLE.rows if row.owner != address_of(missing)))
    assert counts_in(table) == (1, 1, 1)


FORGED = {
    "by somebody else": signed(2, 20, by=1),
    "for another chain": signed(2, 20, chain_id=1),
    "for another market": signed(2, 20, market=address_of(STRANGER)),
    "of another number": replace(signed(2, 20), examples=1),
    "no signature": replace(signed(2, 20), signature=b"\xff" * 64),
}


@pytest.mark.parametrize("case", FORGED)
def test_number_that_a_member_has_not_signed_is_refused(case: str) -> None:
    table = ExampleTable.of([*(row for row in TABLE.rows if row.owner != address_of(2)), FORGED[case]])
    with pytest.raises((TaskMismatch, Malformed)):
        counts_in(ExampleTable.from_bytes(table.to_bytes()))


@given(st.dictionaries(st.integers(0, 30), NUMBERS, max_size=20))
def test_table_is_read_as_it_was_written_in_the_order_of_addresses(examples: dict[int, int]) -> None:
    rows = [SignedExamples(address_of(number), many, bytes([number]) * 64) for number, many in examples.items()]
    table = ExampleTable.of(rows)
    assert ExampleTable.from_bytes(table.to_bytes()) == table == ExampleTable.of(reversed(rows))
    by_address = sorted(rows, key=lambda row: address_bytes(row.owner))
    assert table.to_bytes() == b"".join(address_bytes(row.owner) + row.examples.to_bytes(4, "big") + row.signature for row in by_address)


MALFORMED: dict[str, tuple[bytes, type[OmnilyticsError]]] = {
    "a row cut short": (TABLE.to_bytes()[:-1], WrongLength),
    "a byte more": (TABLE.to_bytes() + b"\0", WrongLength),
    "a data owner twice": (TABLE.to_bytes() + TABLE.to_bytes()[:88], Malformed),
    "a number of 0": (address_bytes(address_of(STRANGER)) + bytes(68), Malformed),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_table_is_refused(case: str) -> None:
    encoded, error = MALFORMED[case]
    with pytest.raises(error):
        ExampleTable.from_bytes(encoded)


def test_groups_count_by_the_examples_of_their_members() -> None:
    assert group_examples([[10, 20, 30], [25, 25, 25, 25]]) == (60, 100)
    assert group_examples([[10, 0, 10], [20, 20, 0]]) == (40 - 10, 50), "an unknown number is the median, 10"
    assert group_examples([[MOST_EXAMPLES] * 3, [10, 10, 10], [10, 10, 12]]) == (60, 30, 32), "a group of liars counts twice"
    assert group_examples([[0, 0, 0], [0, 0, 0, 0]]) == (3, 4), "where nobody says anything, all count the same"


def test_examples_are_a_number_that_can_be_signed() -> None:
    assert [examples_of(metric) for metric in (1, 12.0, 12.6, MOST_EXAMPLES)] == [1, 12, 13, MOST_EXAMPLES]
    strange: list[object] = [0, 0.4, -3, MOST_EXAMPLES + 1, float("nan"), float("inf"), "12", [12], None]
    assert [examples_of(metric) for metric in strange] == [0] * len(strange)

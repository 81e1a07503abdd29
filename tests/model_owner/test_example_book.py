"""What data owners have signed of their examples, as a run keeps it."""

from __future__ import annotations

from omnilytics_flwr.market.examples import ExampleTable, SignedExamples
from omnilytics_flwr.model_owner.example_book import ExampleBook
from tests.support.builders import address_of


def row(number: int, examples: int) -> SignedExamples:
    return SignedExamples(address_of(number), examples, bytes([number]) * 64)


def book(*rounds: tuple[int, list[SignedExamples]], is_used: bool = True) -> ExampleBook:
    made = ExampleBook(is_used=is_used)
    for epoch, rows in rounds:
        made.note(epoch, rows)
    return made


def test_book_keeps_the_first_number_of_everybody_of_its_first_epoch() -> None:
    """So that a group is weighed in one way only, and begins with it in the middle of an epoch only in the first."""
    made = book((4, [row(0, 10)]), (4, [row(0, 30), row(1, 20)]), (5, [row(2, 40)]))
    assert made.table() == ExampleTable.of([row(0, 10), row(1, 20)]).to_bytes()


def test_book_that_is_not_used_or_has_nothing_gives_no_table() -> None:
    assert book((4, [row(0, 10)]), is_used=False).table() == book((4, [])).table() == b""


def test_book_goes_on_where_it_was() -> None:
    first, second = book((4, [row(0, 10)])), book()
    second.restore(first.to_bytes())
    second.note(4, [row(1, 20)])
    second.note(5, [row(2, 30)])
    assert second.table() == ExampleTable.of([row(0, 10), row(1, 20)]).to_bytes()
    untouched = book()
    untouched.restore(book().to_bytes())
    untouched.note(9, [row(0, 10)])
    assert untouched.table() == ExampleTable.of([row(0, 10)]).to_bytes()

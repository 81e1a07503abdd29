"""Terms as sentences."""

from __future__ import annotations

from ..market.amount import Currency, format_amount
from ..market.terms import ZERO_ADDRESS, Terms

_SPANS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def terms_in_words(terms: Terms, currency: Currency, *, public_sums: bool) -> list[tuple[str, str]]:
    """What the terms come to: a subject and a sentence for each; `public_sums` says that the verification computes distances itself."""
    faulty = terms.faulty_groups
    unpaid = f"at most {faulty} group{'s' if faulty > 1 else ''} a round {'go' if faulty > 1 else 'goes'} unpaid"
    far = (
        f"and only if it lies far out: its score is above {terms.outlier_percent} % of the median"
        if terms.outlier_percent
        else "those that lie farthest from the rest"
    )
    clip = f"{terms.clip:g}"
    proof = "distances of random projections are proven" if terms.projected else "the exact distances are proven"
    if public_sums:
        proof = "the contract computes the distances, and everybody sees the sum of each group"
    answer = f"then {_span(terms.answer_seconds)} for the accused to answer on chain" if terms.answer_seconds else "nobody can be accused"
    money = {name: format_amount(getattr(terms, f"{name}_wei"), currency) for name in ("reward", "stake", "bond")}
    fee = format_amount(terms.accuse_fee_wei)
    return [
        ("Reward", f"{money['reward']} for each accepted update."),
        ("Stake", f"A data owner pays in {money['stake']}, and gets it back when it departs, {_span(terms.leave_seconds)} after notice."),
        ("Bond", f"The model owner locks {money['bond']} for a round; if it does not settle in time, those on the roster share it."),
        ("Groups", f"{terms.group_size} or {terms.group_size + 1} data owners hide in each; {unpaid}, {far}."),
        ("Data owners", f"At most {terms.most_owners}; an epoch needs {terms.least_groups} groups. {_admission(terms)}"),
        ("Model", f"{terms.weights:,} weights, each clipped to -{clip} .. {clip} and sent in {terms.update_bits} bits; {proof}."),
        ("Epoch", f"{terms.rounds_per_epoch:,} rounds, then groups are drawn anew."),
        ("Times", f"{_span(terms.commit_seconds)} to commit, {_span(terms.accuse_seconds)} to deliver or be accused, {answer}, "
                  f"{_span(terms.prove_seconds)} to settle."),
        ("Accusation", f"One that is answered costs the model owner {fee}." if terms.answer_seconds else "There is none."),
        ("Metrics", ", ".join(terms.metrics) + " may leave a data owner." if terms.metrics else "None leave a data owner."),
    ]  # fmt: skip


def _admission(terms: Terms) -> str:
    return "Everybody may join." if terms.admission == ZERO_ADDRESS else f"The contract {terms.admission} says who may join."


def _span(seconds: int) -> str:
    """A time span in its largest unit that divides it well enough."""
    length, name = next((length, name) for length, name in _SPANS if seconds >= 2 * length or (length == 1) or seconds == length)
    count = round(seconds / length, 1)
    return f"{count:g} {name}{'' if count == 1 else 's'}"

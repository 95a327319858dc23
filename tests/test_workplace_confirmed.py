"""A proof of income whose workplace was confirmed is good for five years: the rule, and the act that confirms."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from borrowing import BOOK
from http_borrower import card_asked, enrolled
from serving import Client, commanded, served

from ledger.aggregates.limits import Means, has_proof, proof_good_until

D = date
ISSUED = D(2021, 4, 1)
TERMS = BOOK.at(D(2026, 4, 1))


def means(*confirmed_on: date, changed_on: date | None = None) -> Means:
    return Means(
        annual_income=3_600_000,
        others_balance=0,
        age=30,
        proof_issued_on=ISSUED,
        workplace_changed_on=changed_on,
        workplace_confirmed_on=confirmed_on,
    )


@pytest.mark.parametrize(
    ("confirmed_on", "until"),
    [
        ((), D(2024, 4, 1)),
        ((D(2023, 4, 1),), D(2024, 4, 1)),
        ((D(2023, 4, 2),), D(2026, 4, 1)),
        ((D(2024, 4, 1),), D(2026, 4, 1)),
        ((D(2024, 4, 2),), D(2024, 4, 1)),
        ((D(2023, 9, 1), D(2025, 9, 1)), D(2026, 4, 1)),
    ],
)
def test_a_confirmation_between_two_and_three_years_after_the_issue_makes_three_years_five(
    confirmed_on: tuple[date, ...], until: date
) -> None:
    assert proof_good_until(means(*confirmed_on), TERMS) == until
    assert has_proof(means(*confirmed_on), until, TERMS)
    assert not has_proof(means(*confirmed_on), date.fromordinal(until.toordinal() + 1), TERMS)
    assert not has_proof(means(*confirmed_on), date.fromordinal(ISSUED.toordinal() - 1), TERMS)


def test_a_change_of_workplace_ends_a_confirmed_proof_too() -> None:
    assert proof_good_until(means(D(2023, 9, 1), changed_on=D(2025, 1, 1)), TERMS) is None


# End to end -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def service(empty_database_url: str, tmp_path: Path) -> Iterator[Client]:
    with served(empty_database_url, tmp_path, start="2021-04-01T09:00:00+09:00") as client:
        yield client


def confirmed(service: Client, folder: Path, member_id: str) -> tuple[int, str]:
    code, said = commanded(service, folder, "confirm-workplace", member_id)
    return code, said.partition("; ")[2].strip() or said


def test_a_card_that_needs_a_proof_is_issued_on_one_that_is_four_years_old_and_confirmed(
    service: Client, tmp_path: Path
) -> None:
    people = [enrolled(service) for _ in "123"]
    kept, lapsed, moved = people
    assert confirmed(service, tmp_path, kept) == (
        1,
        "A valid proof of income is needed. Submit a valid proof of income.\n",
    )
    for member_id in people:
        proof = {"annual_income": 3_600_000, "issued_on": "2021-04-01"}
        service.done(f"/v1/members/{member_id}/income-proofs", "counter", proof)
    service.go_to(D(2023, 9, 1))
    for member_id in (kept, moved):
        assert confirmed(service, tmp_path, member_id) == (0, "the proof of income is good until 2026-04-01")
    moved_on = {"workplace": "another"}
    assert service.ask("PATCH", f"/v1/members/{moved}/profile", "counter", moved_on).status == 200
    before_it = {"annual_income": 3_600_000, "issued_on": "2023-08-31"}
    service.done(f"/v1/members/{moved}/income-proofs", "counter", before_it)
    assert confirmed(service, tmp_path, moved)[0] == 1
    service.go_to(D(2025, 9, 1))
    asked = {member_id: card_asked(service, member_id, credit_limit=600_000).code for member_id in people}
    assert asked == {kept: "201", lapsed: "income-proof-required", moved: "income-proof-required"}
    events = service.read(f"/v1/members/{kept}/events?type=cardledger.member.workplace-confirmed.v1")["data"]
    assert [event["data"] for event in events] == [{"confirmed_on": "2023-09-01"}]
    assert commanded(service, tmp_path, "audit", "verify", "--recompute")[0] == 0

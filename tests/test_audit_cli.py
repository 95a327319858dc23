"""The auditor's commands: what they print, and the exit code that a script goes by."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from datetime import date
from getpass import getuser
from pathlib import Path

import pytest
from histories import told_history
from ledgers import Holder, caller_of, opened, order, project, rows, session, told
from people import (
    NEW_PIN,
    WRONG_PASSWORD,
    WRONG_PIN,
    by_card,
    by_web,
    logged_in,
    new_pin,
    with_web_id,
)
from psycopg.conninfo import make_conninfo
from serving import clean_environment, served
from test_journal import BOTH, assert_it_agrees

from ledger.aggregates.adoption import ADOPTION_ID


def run(dsn: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from ledger.cli import main; main()", *words],
        env=clean_environment() | {"DATABASE_URL": dsn},
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def holder(database_url: str) -> Holder:
    card = asyncio.run(told_history(database_url))
    asyncio.run(project(database_url))
    return card


def test_verify_finds_nothing_where_nothing_is_wrong(database_url: str, holder: Holder) -> None:
    done = run(database_url, "audit", "verify", "--recompute")

    assert (done.returncode, done.stderr) == (0, "")
    assert "no finding" in done.stdout
    assert "0 commands cannot be decided" in done.stdout


def test_verify_names_card_field_values_and_position_and_a_rebuild_mends_it(database_url: str, holder: Holder) -> None:
    rows(database_url, "update balances set principal = principal + 1")

    done = run(database_url, "audit", "verify", "--json")
    (finding,) = json.loads(done.stdout)["findings"]

    assert done.returncode == 1
    assert (finding["subject"], finding["field"]) == (str(holder.card_id), "principal")
    assert finding["stored"] == finding["replayed"] + 1
    assert finding["position"] > 1
    assert run(database_url, "projections", "rebuild", "balances").returncode == 1
    assert run(database_url, "audit", "verify").returncode == 0


def test_verify_says_that_it_cannot_decide_behind_an_event_that_nobody_can_read(
    database_url: str, holder: Holder
) -> None:
    rows(database_url, "alter table ledger_events disable trigger ledger_events_append_only")
    last = rows(database_url, "select max(notification_id) from ledger_events")
    rows(database_url, "update ledger_events set topic = 'card.unheard-of' where notification_id = %s", last[0])

    done = run(database_url, "audit", "verify", "--json")

    assert done.returncode == 3
    assert json.loads(done.stdout)["unreadable_at"] == last[0]
    assert f"the event at position {last[0]} cannot be read" in run(database_url, "audit", "verify").stdout
    assert run(database_url, "replay").returncode == 3


@BOTH
def test_an_export_says_how_far_it_goes_and_one_that_was_cut_does_not(
    database_url: str, holder: Holder, form: str
) -> None:
    (head,) = rows(database_url, "select max(notification_id) from ledger_events")
    whole = run(database_url, "journal", "export", "--format", form)
    rows(database_url, "alter table ledger_events disable trigger ledger_events_append_only")
    rows(database_url, "update ledger_events set topic = 'card.unheard-of' where notification_id = %s", head)
    cut = run(database_url, "journal", "export", "--format", form)

    assert (whole.returncode, whole.stdout.splitlines()[-1]) == (0, f"; complete up to position {head}")
    assert (cut.returncode, "; complete" in cut.stdout) == (3, False)


def test_replay_tells_the_state_of_a_card_as_of_a_position(database_url: str, holder: Holder) -> None:
    confirmed = rows(database_url, "select notification_id from ledger_events where topic = 'card.advance-confirmed'")[
        0
    ]

    then = json.loads(run(database_url, "replay", str(holder.card_id), "--as-of", str(confirmed)).stdout)
    before = json.loads(run(database_url, "replay", str(holder.card_id), "--as-of", str(confirmed - 1)).stdout)

    assert then["account"]["standing"]["principal"] == 50_000
    assert before["account"]["standing"]["principal"] == 0
    assert before["account"]["in_flight"] != {}


def test_replay_of_everything_tells_the_control_accounts(database_url: str, holder: Holder) -> None:
    done = run(database_url, "replay", "--json")
    told = json.loads(done.stdout)
    balances = {each["account"]: each["balance"] for each in told["accounts"]}

    assert (done.returncode, told["cards"], told["findings"]) == (0, 1, [])
    assert sum(balances.values()) == 0
    assert balances["Assets:Loans:Principal"] == 50_000 - 8_000 - 7_000
    assert run(database_url, "replay", "--recompute").returncode == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("replay", "--as-of", "999999"), 1),
        (("replay", "--as-of", "2001-01-01T00:00:00Z"), 1),
        (("replay", "--as-of", "yesterday"), 2),
        (("replay", "--as-of", "9" * 5000), 2),
        (("replay", "--as-of", "2001-01-01"), 2),
        (("replay", "no-id"), 2),
        (("replay", "11111111-2222-4333-8444-555555555555"), 1),
        (("replay", "11111111-2222-4333-8444-555555555555", "--recompute"), 1),
        (("explain", "11111111-2222-4333-8444-555555555555", "--of", "interest"), 1),
        (("explain", "11111111-2222-4333-8444-555555555555", "--of", "happiness"), 2),
        (("journal", "export", "--format", "abacus"), 2),
        (("audit", "refusals", "11111111-2222-4333-8444-555555555555"), 1),
        (("audit", "refusals", str(ADOPTION_ID)), 1),
        (("audit", "refusals", "no-id"), 2),
        (("audit", "refusals", "11111111-2222-4333-8444-555555555555", "--since", "3 May"), 2),
        (("audit", "refusals", "11111111-2222-4333-8444-555555555555", "--since", "2026-02-30"), 2),
        (
            (
                "audit",
                "refusals",
                "11111111-2222-4333-8444-555555555555",
                "--since",
                "2026-05-03",
                "--until",
                "2026-05-02",
            ),
            2,
        ),
    ],
)
def test_what_is_not_there_is_a_refusal_and_what_is_mistyped_is_usage(
    database_url: str, holder: Holder, words: tuple[str, ...], code: int
) -> None:
    done = run(database_url, *words)

    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr


def test_explain_prints_the_lines_and_the_text_to_be_read_out(database_url: str, holder: Holder) -> None:
    english = run(database_url, "explain", str(holder.card_id), "--of", "principal", "--language", "en")
    japanese = run(database_url, "explain", str(holder.card_id), "--of", "principal", "--json")

    assert "the principal is 35,000 yen" in english.stdout
    assert "元金は35,000円です" in json.loads(japanese.stdout)["spoken"]


def test_what_was_refused_is_listed_with_the_state_that_it_saw(database_url: str, holder: Holder) -> None:
    asyncio.run(two_refusals(database_url, holder))

    table = run(database_url, "audit", "refusals", str(holder.card_id), "--language", "en")
    told = json.loads(run(database_url, "audit", "refusals", str(holder.card_id), "--json").stdout)
    of_member = json.loads(run(database_url, "audit", "refusals", str(holder.member_id), "--json").stdout)

    assert table.returncode == 0
    assert [line.split()[4] for line in table.stdout.splitlines()[1:]] == [
        "credit-limit-exceeded",
        "amount-below-minimum",
    ]
    assert [(each["code"], each["seen"]["card"]["principal"]) for each in of_member] == [
        (each["code"], 35_000) for each in told
    ]
    assert told[1]["details"] == {"minimum": 200}


@pytest.mark.parametrize(
    ("words", "listed"),
    [
        (("--since", "2000-01-01"), 2),
        (("--since", "2999-01-01"), 0),
        (("--until", "2000-01-01"), 0),
        (("--until", "2999-01-01"), 2),
    ],
)
def test_refusals_are_listed_between_two_business_days(
    database_url: str, holder: Holder, words: tuple[str, ...], listed: int
) -> None:
    asyncio.run(two_refusals(database_url, holder))

    assert (
        len(json.loads(run(database_url, "audit", "refusals", str(holder.card_id), *words, "--json").stdout)) == listed
    )


async def two_refusals(dsn: str, card: Holder) -> None:
    async with opened(dsn) as ledger:
        caller = await caller_of(ledger, await session(ledger, card))
        small = replace(order(caller), operation="makeRepayment")
        assert await told(ledger.repay(small, card.card_id, 1, "internet", None)) == "amount-below-minimum"
        much = replace(order(caller), operation="drawAdvance")
        assert await told(ledger.draw_advance(much, card.card_id, 480_000, "transfer")) == "credit-limit-exceeded"


def test_a_read_at_the_terminal_is_on_record_before_it_is_answered(database_url: str, holder: Holder) -> None:
    card = str(holder.card_id)
    run(database_url, "replay", card, "--as-of", "3")
    run(database_url, "replay", "--as-of", "999999")
    run(database_url, "explain", card, "--of", "interest")
    run(database_url, "audit", "refusals", card, "--since", "2026-05-03")
    run(database_url, "audit", "verify")
    run(database_url, "journal", "export", "--format", "hledger")

    assert rows(database_url, "select subject, role, path, query from reads_on_record order by read_id") == [
        (getuser(), "terminal", *asked)
        for asked in (
            ("cardledger replay", f"stream={card}&as_of=3"),
            ("cardledger replay", "as_of=999999"),
            ("cardledger explain", f"card={card}&of=interest"),
            ("cardledger audit refusals", f"card={card}&since=2026-05-03"),
            ("cardledger audit verify", ""),
            ("cardledger journal export", "format=hledger"),
        )
    ]


def test_a_read_of_a_database_that_takes_no_writing_is_answered_and_says_that_it_is_not_on_record(
    database_url: str, holder: Holder
) -> None:
    read_only = make_conninfo(database_url, options="-c default_transaction_read_only=on")

    done = run(read_only, "replay", str(holder.card_id))

    assert done.returncode == 0
    assert "not on record" in done.stderr
    assert json.loads(done.stdout)["stream"] == str(holder.card_id)
    assert rows(database_url, "select count(*) from reads_on_record") == [0]


@BOTH
def test_the_exported_journal_is_complete_and_another_program_agrees(
    database_url: str, holder: Holder, form: str, tmp_path: Path
) -> None:
    asyncio.run(told_history(database_url, name="second"))  # the journal's read model has not seen this

    done = run(database_url, "journal", "export", "--format", form)

    assert done.returncode == 0
    assert done.stdout.count("card.advance-confirmed") == 2
    assert_it_agrees(done.stdout, form, tmp_path)


def test_months_lived_over_http_verify_recompute_and_balance(empty_database_url: str, tmp_path: Path) -> None:
    with served(empty_database_url, tmp_path, start="2025-04-01T10:00:00+09:00") as client:
        person = with_web_id(client)
        token = logged_in(client, by_card(person.number))
        card = f"/v1/cards/{person.card_id}"
        drawn = client.done(f"{card}/advances", token, {"amount": 200_000, "purpose": "transfer"})
        client.done(f"{card}/advances/{drawn['advance_id']}/confirmations", "service")
        client.go_to(date(2025, 6, 10))  # one instalment is missed
        assert client.close_days(date(2025, 6, 9)).status == 200
        paid = client.done(f"{card}/repayments", "service", {"amount": 30_000, "method": "bank-transfer"})
        dated = {"amount": 9_000, "method": "bank-transfer", "value_date": "2025-05-01"}
        client.done(f"{card}/repayments", "service", dated)
        client.done(f"{card}/repayments/{paid['repayment_id']}/reversals", "service")
        for _ in range(3):
            client.post("/v1/sessions", None, by_card(person.number, WRONG_PIN))
        client.done(f"{card}/pin-resets", "counter", new_pin(client, NEW_PIN))
        client.post("/v1/sessions", None, by_web(person.web_id, WRONG_PASSWORD))

    asyncio.run(project(empty_database_url))
    done = json.loads(run(empty_database_url, "audit", "verify", "--recompute", "--json", "--sandbox").stdout)

    assert (done["findings"], done["recomputed"]["undecided"]) == ([], [])
    assert done["recomputed"]["facts"] > 15
    assert min(done["rows"].values()) > 0

"""The vaults: what is sealed opens at its own place, under its own key, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import BOOK, KEYS, OTHER_KEYS, PASSWORD, PIN, PROFILE, holder, opened, order, rows, until, with_ledgers

from ledger.application import Ledger
from ledger.faults import EnvironmentFault
from ledger.store.credentials import CredentialVault, HashCost, Verifier, VerifierDamaged
from ledger.store.directory import PERSONAL
from ledger.store.keys import Keyring
from ledger.store.personal import BoxDamaged, PersonalVault

VAULT = CredentialVault(KEYS, HashCost.for_tests())
OWNER, STREAM = uuid4(), uuid4()
GROWN = Keyring("k2", (*KEYS.masters, ("k2", bytes(range(50, 82)))))


def verifier(vault: CredentialVault, owner: UUID, kind: str, generation: int, secret: str) -> Verifier:
    row = vault.row(owner, kind, generation, secret)
    assert (row["owner"], row["kind"], row["generation"]) == (owner, kind, generation)
    return Verifier(generation, row["key_id"], row["verifier"])


def opens(test: Callable[[], bool]) -> bool:
    """Whether the secret is taken for right; a verifier that was tampered with may be noticed as such instead."""
    try:
        return test()
    except VerifierDamaged:
        return False


# Credentials ----------------------------------------------------------------------------------------------------------


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_verifier_matches_its_own_secret_alone(secret: str, another: str) -> None:
    kept = verifier(VAULT, OWNER, "password", 1, secret)
    assert VAULT.matches(OWNER, "password", kept, secret)
    assert VAULT.matches(OWNER, "password", kept, another) == (another == secret)


@pytest.mark.parametrize(
    ("owner", "kind", "generation"),
    [(uuid4(), "pin", 1), (OWNER, "password", 1), (OWNER, "pin", 2), (OWNER, "pin", 0), (uuid4(), "password", 3)],
)
def test_a_verifier_that_was_moved_never_matches(owner: UUID, kind: str, generation: int) -> None:
    kept = verifier(VAULT, OWNER, "pin", 1, PIN)
    assert VAULT.matches(OWNER, "pin", kept, PIN)
    assert not opens(lambda: VAULT.matches(owner, kind, replace(kept, generation=generation), PIN))


def test_a_verifier_moved_in_the_table_lets_nobody_in(database_url: str) -> None:
    """Somebody who may write the table puts the verifier of the own card in the place of another's."""

    async def story(ledger: Ledger) -> bool:
        own, others = await holder(ledger, "5938"), await holder(ledger)
        move = "update credentials t set verifier = s.verifier from credentials s where t.owner = %s and s.owner = %s"
        rows(database_url, move, others.card_id, own.card_id)
        try:
            await ledger.log_in_by_card(order(), others.number, "5938")
        except VerifierDamaged:
            return False
        return True

    assert not with_ledgers(database_url, story)
    assert rows(database_url, "select count(*) from sessions") == [0]


def test_equal_secrets_have_different_verifiers() -> None:
    made = {VAULT.row(OWNER, "pin", 1, PIN)["verifier"] for _ in range(5)}
    assert len(made) == 5


def test_without_the_right_key_no_verifier_opens() -> None:
    kept = verifier(VAULT, OWNER, "pin", 1, PIN)
    stranger = CredentialVault(OTHER_KEYS, HashCost.for_tests())
    with pytest.raises(VerifierDamaged):
        stranger.matches(OWNER, "pin", kept, PIN)


def test_a_verifier_of_an_earlier_key_matches_after_a_new_key_came_into_use() -> None:
    kept = verifier(VAULT, OWNER, "pin", 1, PIN)
    grown = CredentialVault(GROWN, HashCost.for_tests())
    assert grown.matches(OWNER, "pin", kept, PIN)
    assert verifier(grown, OWNER, "pin", 1, PIN).key_id == "k2"


def test_the_same_secret_is_found_by_its_index_under_every_later_key() -> None:
    assert GROWN.index("card-number", "9123") == KEYS.index("card-number", "9123")
    assert KEYS.index("card-number", "9123") != KEYS.index("web-id", "9123")
    assert KEYS.index("card-number", "9123") != OTHER_KEYS.index("card-number", "9123")


# Personal facts -------------------------------------------------------------------------------------------------------


def test_a_box_opens_at_its_own_place_alone() -> None:
    vault = PersonalVault(KEYS)
    key, _ = vault.new_key(OWNER)
    box = key.seal(STREAM, 3, "personal", PROFILE)
    assert key.open(STREAM, 3, "personal", box) == PROFILE
    for stream, version, kind in ((uuid4(), 3, "personal"), (STREAM, 4, "personal"), (STREAM, 3, "card-number")):
        with pytest.raises(BoxDamaged):
            key.open(stream, version, kind, box)


@pytest.mark.parametrize("damage", [b"", b"short", None], ids=["empty", "short", "one bit"])
def test_a_damaged_box_is_noticed(damage: bytes | None) -> None:
    key, _ = PersonalVault(KEYS).new_key(OWNER)
    box = key.seal(STREAM, 1, "personal", PROFILE)
    with pytest.raises(BoxDamaged):
        key.open(STREAM, 1, "personal", damage if damage is not None else box[:-1] + bytes([box[-1] ^ 1]))


def test_a_box_of_another_member_does_not_open() -> None:
    vault, other = PersonalVault(KEYS), uuid4()
    mine, row = vault.new_key(OWNER)
    theirs, _ = vault.new_key(other)
    with pytest.raises(BoxDamaged):
        theirs.open(STREAM, 1, "personal", mine.seal(STREAM, 1, "personal", PROFILE))
    with pytest.raises(BoxDamaged):
        vault.unwrap(other, row["key_id"], row["wrapped"])
    assert vault.unwrap(OWNER, row["key_id"], row["wrapped"]).seal(STREAM, 1, "personal", {}) != b""


def test_without_the_right_key_no_members_key_opens() -> None:
    _, row = PersonalVault(KEYS).new_key(OWNER)
    with pytest.raises(BoxDamaged):
        PersonalVault(OTHER_KEYS).unwrap(OWNER, row["key_id"], row["wrapped"])
    assert PersonalVault(GROWN).unwrap(OWNER, row["key_id"], row["wrapped"])


def test_a_box_moved_in_the_table_is_noticed(database_url: str) -> None:
    """A member's income in the place of another's, or an older one in the place of a newer."""

    async def story(ledger: Ledger) -> None:
        one, other = await holder(ledger), await holder(ledger, name="鈴木")
        assert (await ledger.directory.personal(other.member_id)).facts["name"] == "鈴木"  # type: ignore[union-attr]
        move = "update personal_boxes t set box = s.box from personal_boxes s where t.stream = %s and t.kind = %s"
        rows(database_url, move + " and s.stream = %s and s.kind = t.kind", other.member_id, PERSONAL, one.member_id)
        with pytest.raises(BoxDamaged):
            await ledger.directory.personal(other.member_id)

    with_ledgers(database_url, story)


def test_a_member_whose_key_was_destroyed_is_closed_for_ever_and_the_log_stands(database_url: str) -> None:
    async def story(ledger: Ledger) -> Ledger:
        card = await holder(ledger)
        rows(database_url, "delete from member_keys where member_id = %s", card.member_id)
        async with opened(database_url) as another:
            assert await another.directory.personal(card.member_id) is None
            assert another.repository.get(card.card_id).version == 1
        return ledger

    with_ledgers(database_url, story)


def test_nothing_personal_and_no_secret_stands_in_the_database_in_clear(database_url: str) -> None:
    async def story(ledger: Ledger) -> str:
        card = await holder(ledger)
        await ledger.set_web_credentials(order(), card.member_id, "taro.yamada", PASSWORD, None)
        token: str = (await ledger.log_in_by_card(order(), card.number, PIN)).body["token"]
        secrets = [PASSWORD, "taro.yamada", card.number, token]
        personal = [PROFILE[name] for name in ("name", "kana", "birth_date", "email", "phone", "address", "workplace")]
        names = rows(database_url, "select tablename from pg_tables where schemaname = 'public'")
        # Binary columns as bytes, so that text inside of them is looked through as well.
        dump = b"".join(
            bytes(cell) if isinstance(cell, bytes) else str(cell).encode()
            for table in names
            for row in rows(database_url, f"table {table}")
            for cell in (row if isinstance(row, tuple) else (row,))
        )
        assert str(card.card_id).encode() in dump
        return " ".join(text for text in secrets + personal if text.encode() in dump)

    assert with_ledgers(database_url, story) == ""


# The key file ---------------------------------------------------------------------------------------------------------


def test_a_database_does_not_open_under_another_key_file(database_url: str) -> None:
    async def story() -> None:
        async with opened(database_url):
            pass
        with pytest.raises(EnvironmentFault, match="key file"):
            await Ledger.open(database_url, OTHER_KEYS, BOOK, cost=HashCost.for_tests())
        others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        await until(lambda: rows(database_url, others) == [0])
        async with opened(database_url, GROWN):
            pass

    asyncio.run(story())
    assert rows(database_url, "select key_check from log_head") == [KEYS.check]

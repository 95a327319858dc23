"""What may be typed: the bad-input catalogue, the full-width trap, and well-formed secrets that are refused."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import forms
from ledger.refused_pins import COMMON_PINS

TODAY = date(2026, 4, 1)
Judge = Callable[[object], str | None]

GOOD_ACCOUNT = {
    "bank_code": "0009",
    "branch_code": "123",
    "kind": "ordinary",
    "number": "0123456",
    "holder_kana": "ヤマダ　タロー",
}


@pytest.mark.parametrize(
    ("judge", "typed"),
    [
        (forms.pin, "0000"),
        (forms.card_number, "0000111122223333"),
        (forms.web_id, "Taro.Y_-9"),
        (forms.password, " Correct horse ~ "),
        (forms.phone, "09012345678"),
        (forms.phone, "0312345678"),
        (forms.email, "taro.+x@mail.example.jp"),
        (forms.kana, "ヤマダ　タロー"),
        (forms.kana, "ヴァン ヘルシング"),
        (forms.text, "山田 太郎"),
        (forms.text, "𠮷野家"),
        (forms.day, "2024-02-29"),
        (forms.check_ref, "CIC/2026-04:17#a"),
        (forms.amount, 1),
        (forms.amount, 99_999_999),
        (forms.annual_income, 0),
    ],
)
def test_what_the_contract_allows_is_accepted(judge: Judge, typed: object) -> None:
    assert judge(typed) is None


@pytest.mark.parametrize("typed", ["１２３４", "1２3４", "1234　", "㊿12", "１", "1" * 9 + "１"])
def test_full_width_is_told_apart_from_every_other_fault(typed: str) -> None:
    assert forms.holds_full_width(typed)
    assert forms.pin(typed) == "not-half-width"


@pytest.mark.parametrize(
    "typed",
    [
        "١٢٣٤",
        "۱۲۳۴",
        "१२३४",
        "𝟏𝟐𝟑𝟒",
        "¹²³⁴",
        "①②③④",
        "1234\n",
        "\n1234",
        " 1234",
        "1234 ",
        "1234\u00a0",
        "12\u200b34",
        "\u202e4321",
        "\ufeff1234",
        "1\ufe0f\u20e3234",
        "12\x0034",
        "+1234",
        "1_234",
        "0x4D",
        "1e3",
        "-123",
        "12.4",
        "123",
        "12345",
        "",
        "1" * 10_000,
        "12\ud80034",
        "ｱ234",
    ],
)
def test_a_pin_is_four_ascii_digits_and_nothing_else(typed: str) -> None:
    assert forms.pin(typed) == "format"


@pytest.mark.parametrize("typed", [1234, True, None, [], {}, ["1", "2", "3", "4"], 1234.0, b"1234"])
def test_a_login_string_is_a_string(typed: object) -> None:
    assert {judge(typed) for judge in (forms.pin, forms.card_number, forms.web_id, forms.password)} == {"type"}


@pytest.mark.parametrize(
    ("judge", "typed", "code"),
    [
        (forms.card_number, "１２３４567890123456", "not-half-width"),
        (forms.card_number, "1234 5678 9012 3456", "format"),
        (forms.card_number, "1234-5678-9012-3456", "format"),
        (forms.card_number, "1234\u20105678901234567", "format"),
        (forms.card_number, "123456789012345", "format"),
        (forms.card_number, "12345678901234567", "format"),
        (forms.card_number, "123456789012345a", "format"),
        (forms.web_id, "ｔａｒｏ９９", "not-half-width"),
        (forms.web_id, "taro99ー", "not-half-width"),
        (forms.web_id, "İstanbul", "format"),
        (forms.web_id, "ﬁle1234", "format"),
        (forms.web_id, "tаro1234", "format"),  # the second letter is Cyrillic
        (forms.web_id, "\u212aelvin1", "format"),
        (forms.web_id, "taro9", "format"),
        (forms.web_id, "t" * 33, "format"),
        (forms.web_id, "taro 99", "format"),
        (forms.web_id, "taro@99", "format"),
        (forms.web_id, "taro99\n", "format"),
        (forms.password, "ｐａｓｓｗｏｒｄ１２３４", "not-half-width"),
        (forms.password, "e\u0301" * 10, "format"),
        (forms.password, "é" * 12, "format"),
        (forms.password, "\u0301" * 128, "format"),
        (forms.password, "x" * 129, "format"),
        (forms.password, "x" * 11, "format"),
        (forms.password, "x" * 12 + "\n", "format"),
        (forms.password, "x" * 12 + "\x7f", "format"),
        (forms.password, "x" * 12 + "\ud800", "format"),
        (forms.password, "x" * 1_000_000, "format"),
        (forms.phone, "０９０12345678", "not-half-width"),
        (forms.phone, "090-1234-5678", "format"),
        (forms.phone, "+819012345678", "format"),
        (forms.email, "Ａ@b.co", "not-half-width"),
        (forms.email, "taro", "format"),
        (forms.email, "taro@localhost", "format"),
        (forms.email, "a@b@c.jp", "format"),
        (forms.email, "taro@mail.jp\n", "format"),
        (forms.email, "x" * 60 + "@" + "y" * 60 + ("." + "z" * 60) * 3, "format"),
        (forms.kana, "ﾔﾏﾀﾞ", "format"),
        (forms.kana, "やまだ", "format"),
        (forms.kana, "Yamada", "format"),
        (forms.kana, "　 ー", "format"),
        (forms.kana, "", "format"),
        (forms.kana, "ア" * 201, "format"),
        (forms.text, "", "format"),
        (forms.text, " 　", "format"),
        (forms.text, "x" * 201, "format"),
        (forms.text, "a\x00b", "format"),
        (forms.text, "a\r\nINFO login ok", "format"),
        (forms.text, "a\u202eb", "format"),
        (forms.text, "a\u2028b", "format"),
        (forms.text, "a\x85b", "format"),
        (forms.text, "a\ud800", "format"),
        (forms.day, "20240228", "format"),
        (forms.day, "2024-W01-1", "format"),
        (forms.day, "2024-02-30", "format"),
        (forms.day, "0000-01-01", "format"),
        (forms.day, "２０２４-01-01", "not-half-width"),
        (forms.day, 1_700_000_000, "type"),
        (forms.check_ref, "saw him, looks fine", "format"),
        (forms.amount, 0, "range"),
        (forms.amount, -1, "range"),
        (forms.amount, 100_000_000, "range"),
        (forms.amount, 2**64, "range"),
        (forms.amount, True, "type"),
        (forms.amount, 1000.0, "type"),
        (forms.amount, "1000", "type"),
        (forms.annual_income, -1, "range"),
    ],
)
def test_what_the_contract_does_not_allow_has_a_code(judge: Judge, typed: object, code: str) -> None:
    assert judge(typed) == code


@given(st.text(st.characters(exclude_characters="0123456789"), min_size=4, max_size=4))
def test_no_sign_that_is_a_digit_somewhere_else_is_a_digit_of_a_pin(typed: str) -> None:
    wide = any(unicodedata.east_asian_width(sign) in "FW" for sign in typed)
    assert forms.pin(typed) == ("not-half-width" if wide else "format")


@given(st.from_regex(r"[0-9A-Za-z._-]{6,32}", fullmatch=True))
def test_a_web_id_is_the_same_one_in_every_case(typed: str) -> None:
    assert forms.web_id(typed) is None
    assert forms.web_id_key(typed.upper()) == forms.web_id_key(typed)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("2008-04-01", None),
        ("2008-04-02", "range"),
        ("1900-01-01", None),
        ("1899-12-31", "range"),
        ("2030-01-01", "range"),
        ("x", "format"),
    ],
)
def test_a_member_is_eighteen_on_the_day(typed: str, code: str | None) -> None:
    assert forms.birth_date(typed, TODAY) == code


def test_somebody_born_on_29_february_comes_of_age_on_1_march() -> None:
    assert forms.birth_date("2008-02-29", date(2026, 2, 28)) == "range"
    assert forms.birth_date("2008-02-29", date(2026, 3, 1)) is None


def test_a_payout_account_has_its_five_fields_and_no_other() -> None:
    assert forms.payout_account(GOOD_ACCOUNT) == []
    assert forms.payout_account("0009-123-0123456") == [forms.FieldFault("/payout_account", "type")]
    without = {name: value for name, value in GOOD_ACCOUNT.items() if name != "number"}
    assert forms.payout_account(without) == [forms.FieldFault("/payout_account/number", "required")]
    assert forms.payout_account({**GOOD_ACCOUNT, "kind": "savings"}) == [
        forms.FieldFault("/payout_account/kind", "format")
    ]
    assert forms.payout_account({**GOOD_ACCOUNT, "bank_code": "０００９"}) == [
        forms.FieldFault("/payout_account/bank_code", "not-half-width")
    ]


def test_the_name_of_an_unknown_field_is_not_told_back() -> None:
    faults = forms.payout_account({**GOOD_ACCOUNT, "4111111111111111": 1})
    assert faults == [forms.FieldFault("/payout_account", "unknown-field")]


# Secrets --------------------------------------------------------------------------------------------------------------


def refused(pin: str) -> bool:
    return forms.pin_refused(pin, birth_date=date(1980, 12, 31), phone="08067676791", card_number="4000565656563800")


def test_about_one_pin_in_ten_is_refused_to_everyone() -> None:
    assert len(COMMON_PINS) == 1012
    assert all(forms.pin(pin) is None for pin in COMMON_PINS)


@pytest.mark.parametrize(
    "pin",
    ["0000", "1234", "4321", "8901", "2468", "1212", "1122", "1221", "2580", "0852", "1985", "2029", "0704", "3112"],
)
def test_a_common_pin_is_refused(pin: str) -> None:
    assert refused(pin)


@pytest.mark.parametrize("pin", ["8012", "1280", "3180", "9801", "6767", "0676", "7679", "5638", "3800", "0565"])
def test_a_pin_out_of_the_birth_date_the_phone_or_the_card_number_is_refused(pin: str) -> None:
    assert refused(pin)


@pytest.mark.parametrize("pin", ["7294", "4827", "6053", "9371"])
def test_another_pin_is_accepted(pin: str) -> None:
    assert not refused(pin)


def test_at_issue_there_is_no_card_number_to_look_at() -> None:
    assert not forms.pin_refused("5638", birth_date=date(1980, 12, 31), phone="08067676791", card_number=None)


@pytest.mark.parametrize(
    "password",
    [
        "aaaaaaaaaaaa",
        "abababababab",
        "abc1abc1abc1",
        "passwordpassword",
        "Password2024!!",
        "P@ssw0rd-1234",
        "123456789012",
        "210987654321",
        "abcdefghijklm",
        "qwertyuiopas",
        "lkjhgfdsapoiu",
        "letmein!!!!!!",
        "11122233344411122",
        "xx-TARO.yamada-xx",
    ],
)
def test_a_password_that_is_common_or_holds_the_web_id_is_refused(password: str) -> None:
    assert forms.password(password) is None
    assert forms.password_refused(password, "taro.Yamada")


@pytest.mark.parametrize(
    "password", ["correct horse battery", "Blue-kettle-4-7", "passwords for tests", "8391-2204-7743"]
)
def test_another_password_is_accepted(password: str) -> None:
    assert not forms.password_refused(password, "taro.yamada")

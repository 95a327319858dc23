"""Bad input: refused with a stable code before anything is decided, and never repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_in import CARD_ID, StandIn, bearer, serving
from starlette.testclient import TestClient

from api.bodies import Body, Enrolment
from api.operations import operations
from api.strict_json import parse_json
from ledger.refusals import Refusal

Served = tuple[TestClient, StandIn]
REPAYMENTS = f"/v1/cards/{CARD_ID}/repayments"
JSON = {"Content-Type": "application/json"}
KEYED = {**bearer("member"), "Idempotency-Key": "k-1"}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as both:
        yield both


def refused(served: Served, raw: bytes, path: str = REPAYMENTS, **headers: str) -> tuple[int, str]:
    """Status and code of a body that must not reach the ledger, nor come back."""
    client, ledger = served
    before = len(ledger.asked)
    answer = client.post(path, content=raw, headers={**KEYED, **JSON, **headers})
    assert len(ledger.asked) == before
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b'{"amount":1,"amount":2,"method":"internet"}', "duplicate-key"),
        (b'{"amount":1,"x":{"a":1,"a":1}}', "duplicate-key"),
        (b'{"amount":NaN,"method":"internet"}', "malformed-json"),
        (b'{"amount":Infinity}', "malformed-json"),
        (b'{"amount":-Infinity}', "malformed-json"),
        (b'{"amount":' + b"9" * 4000 + b"}", "malformed-json"),
        (b'{"amount":' + b"9" * 5000 + b"}", "malformed-json"),
        (b'{"amount":1.' + b"9" * 4000 + b"}", "malformed-json"),
        (b'{"method":"\\ud800"}', "malformed-json"),
        (b'{"\\udfff":1}', "malformed-json"),
        (b'{"method":"\xff"}', "malformed-json"),
        (b"\xef\xbb\xbf{}", "malformed-json"),
        ('{"amount":1}'.encode("utf-16"), "malformed-json"),
        ('{"amount":1}'.encode("utf-32"), "malformed-json"),
        (b"", "malformed-json"),
        (b"{}{}", "malformed-json"),
        (b"{} //", "malformed-json"),
        (b"{'amount':1}", "malformed-json"),
        (b'{"amount":1,}', "malformed-json"),
        (b'{"amount":1', "malformed-json"),
        (b'{"amount":01}', "malformed-json"),
        (b'{"amount":+1}', "malformed-json"),
        (b'{"method":"a\nb"}', "malformed-json"),
        (b"[" * 17 + b"]" * 17, "malformed-json"),
        (b"[" * 900 + b"]" * 900, "malformed-json"),
        (b"[" * 16_000, "malformed-json"),
        (b'{"a":' * 2_700 + b"1" + b"}" * 2_700, "malformed-json"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_plain_json_is_refused(served: Served, raw: bytes, code: str) -> None:
    assert refused(served, raw) == (400, code)


@pytest.mark.parametrize("raw", [b"null", b"[]", b'"x"', b"1", b"true", b"[" * 16 + b"]" * 16])
def test_json_that_is_no_object_is_a_field_error_at_the_root(served: Served, raw: bytes) -> None:
    answer = served[0].post(REPAYMENTS, content=raw, headers={**KEYED, **JSON})

    assert answer.json()["errors"] == [{"pointer": "", "code": "type"}]


@pytest.mark.parametrize(
    "media",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/evil+json",
     "application/json; charset=utf-7", "application/json; charset=shift_jis", "application/json; charset",
     "application/json, text/plain", "application/jsonx", "application/json; foo=1 2", "application/json; =1",
     "application/json; foo=1; charset=latin-1", 'application/json; charset=utf-8; charset="utf-16"'],
)  # fmt: skip
def test_another_media_type_is_refused(served: Served, media: str) -> None:
    assert refused(served, b"{}", **{"Content-Type": media}) == (415, "media-type")


@pytest.mark.parametrize(
    "media",
    ["application/json; charset=utf-8", 'APPLICATION/JSON;charset="UTF-8"', "application/json; foo=1",
     'application/json ;foo="a;charset=latin-1" ; charset=utf-8', "application/json; xcharset=latin-1"],
)  # fmt: skip
def test_utf_8_may_be_said_and_what_json_does_not_know_is_passed_over(served: Served, media: str) -> None:
    raw = b'{"amount":1,"method":"internet"}'

    assert served[0].post(REPAYMENTS, content=raw, headers={**KEYED, "Content-Type": media}).status_code == 201


def test_a_compressed_body_is_refused(served: Served) -> None:
    assert refused(served, b"{}", **{"Content-Encoding": "gzip"}) == (415, "media-type")


def test_a_body_over_16_kib_is_refused(served: Served) -> None:
    assert refused(served, b" " * 16_385) == (413, "body-too-large")
    assert refused(served, b"{}" + b" " * 16_382) == (422, "input-format")


def test_a_body_over_16_kib_is_refused_when_no_length_is_told(served: Served) -> None:
    answer = served[0].post(REPAYMENTS, content=(b" " * 1000 for _ in range(100)), headers={**KEYED, **JSON})

    assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")
    assert "content-length" not in answer.request.headers


@pytest.mark.parametrize("header", ["Authorization", "Idempotency-Key", "Host", "Content-Type"])
def test_a_header_that_may_stand_once_is_refused_twice(served: Served, header: str) -> None:
    once = {**KEYED, **JSON, "Host": "testserver"}
    headers = [*once.items(), (header, once[header])]

    answer = served[0].post(REPAYMENTS, content=b'{"amount":1,"method":"internet"}', headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "header-repeated")


@pytest.mark.parametrize("key", [None, "", " ", "k 1", "k" * 256, "ｋ", "k\x7f"])
def test_an_act_without_a_proper_idempotency_key_is_refused(served: Served, key: str | None) -> None:
    headers = bearer("member") | ({"Idempotency-Key": key.encode()} if key is not None else {})  # type: ignore[dict-item]

    answer = served[0].post(REPAYMENTS, json={"amount": 1, "method": "internet"}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency-key-missing")


@pytest.mark.parametrize("key", ["k", "k" * 255, '"quoted"', "!~"])
def test_1_to_255_visible_characters_are_a_key(served: Served, key: str) -> None:
    headers = bearer("member") | {"Idempotency-Key": key}

    answer = served[0].post(REPAYMENTS, json={"amount": 1, "method": "internet"}, headers=headers)

    assert answer.status_code == 201
    assert served[1].asked[-1][1][0].key.key == key


def test_the_fingerprint_tells_path_and_body_apart_and_holds_neither(served: Served) -> None:
    asked = (
        (REPAYMENTS, b'{"amount":1,"method":"internet"}'),
        (REPAYMENTS, b'{"amount":2,"method":"internet"}'),
        (REPAYMENTS.replace("repayments", "advances"), b'{"amount":1,"purpose":"transfer"}'),
    )
    prints = []
    for path, raw in asked:
        served[0].post(path, content=raw, headers={**KEYED, **JSON})
        prints.append(served[1].asked[-1][1][0].key.fingerprint)

    assert len(set(prints)) == 3
    assert all(len(one) == 32 for one in prints)


@pytest.mark.parametrize(
    ("amount", "code"),
    [(0, "range"), (-1, "range"), (100_000_000, "range"), (2**53 + 1, "range"), (2**64, "range"), (1.0, "type"),
     (1.5, "type"), ("1000", "type"), ("１０００", "type"), (True, "type"), (None, "type"), ([], "type"), ({}, "type")],
)  # fmt: skip
def test_an_amount_is_a_json_integer_in_its_bounds(served: Served, amount: object, code: str) -> None:
    answer = served[0].post(REPAYMENTS, json={"amount": amount, "method": "internet"}, headers=KEYED)

    assert (answer.status_code, answer.json()["errors"]) == (422, [{"pointer": "/amount", "code": code}])


@pytest.mark.parametrize("number", [b"1e3", b"-0", b"1e309", b"0.1", b"1E0"])
def test_an_amount_has_one_spelling(served: Served, number: bytes) -> None:
    assert refused(served, b'{"amount":' + number + b',"method":"internet"}') == (422, "input-format")


@pytest.mark.parametrize(
    ("day", "code"),
    [("2024-02-30", "format"), ("0000-01-01", "format"), ("２０２４-01-01", "not-half-width"), ("20240228", "format"),
     ("2024-W09-3", "format"), (1_700_000_000, "type"), ("2024-02-28T00:00:00", "format"), (None, "type"),
     ("", "format")],
)  # fmt: skip
def test_a_day_has_one_spelling(served: Served, day: object, code: str) -> None:
    answer = served[0].post(REPAYMENTS, json={"amount": 1, "method": "internet", "value_date": day}, headers=KEYED)

    assert answer.json()["errors"] == [{"pointer": "/value_date", "code": code}]


@pytest.mark.parametrize(
    ("instant", "code"),
    [("2020-01-06T10:05:00", "format"), ("2020-01-06T10:05:00+99:00", "format"), ("2020-01-06T10:05:60Z", "format"),
     ("20200106T100500Z", "format"), (1_578_272_700, "type"), ("2020-01-06 10:05:00Z", "format"),
     ("0001-01-01T00:00:00+09:00", "format"), ("２020-01-06T10:05:00Z", "not-half-width")],
)  # fmt: skip
def test_an_instant_has_its_offset(served: Served, instant: object, code: str) -> None:
    body = {"new_pin": "8352", "identity_document": {"kind": "passport", "verified_at": instant}}

    answer = served[0].post(f"/v1/cards/{CARD_ID}/pin-resets", json=body, headers={**KEYED, **bearer("counter")})

    assert answer.json()["errors"] == [{"pointer": "/identity_document/verified_at", "code": code}]


def test_every_fault_is_named_and_a_stray_name_only_when_it_is_tame(served: Served) -> None:
    body = {"method": 5, "is_admin": True, "1234": 1, "ＰＩＮ": 1, "pin ": "1234"}

    answer = served[0].post(REPAYMENTS, json=body, headers=KEYED)

    assert answer.json()["errors"] == [
        {"pointer": "/amount", "code": "required"},
        {"pointer": "/method", "code": "type"},
        {"pointer": "/is_admin", "code": "unknown-field"},
        *[{"pointer": "", "code": "unknown-field"}] * 3,
    ]
    assert "1234" not in answer.text


@pytest.mark.parametrize("field", ["name", "address", "workplace"])
@pytest.mark.parametrize("text", ["a\x00b", "a\u202eb", "a\u2028b", "\ufeffa", "a\x85b", "", "x" * 201])
def test_text_holds_no_control_characters(served: Served, field: str, text: str) -> None:
    answer = served[0].post(
        "/v1/members", json={**Enrolment.example, field: text}, headers={**KEYED, **bearer("counter")}
    )

    assert answer.json()["errors"] == [{"pointer": f"/{field}", "code": "format"}]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
MODELS = sorted(
    {each for row in operations(in_sandbox=True) if row.body for each in (row.body, *row.body.variants.values())},
    key=lambda model: model.__name__,
)


def code_of(act: Callable[[], object]) -> str | None:
    """The code of the refusal, None where the value was taken; any other exception is a fault."""
    try:
        act()
    except Refusal as refusal:
        return refusal.code
    return None


@given(st.binary(max_size=200))
def test_no_bytes_are_more_than_a_refusal(raw: bytes) -> None:
    assert code_of(lambda: json.dumps(parse_json(raw)).encode()) in (None, "malformed-json", "duplicate-key")


@given(st.sampled_from(MODELS), st.data())
def test_no_value_is_more_than_a_refusal(model: type[Body], data: st.DataObject) -> None:
    fields = [*model.example, "x", "route", "mode"]
    value = data.draw(VALUES | st.dictionaries(st.sampled_from(fields), VALUES, max_size=6))

    assert code_of(lambda: model.read(value)) in (None, "input-format", "input-not-half-width", "bad-credentials")

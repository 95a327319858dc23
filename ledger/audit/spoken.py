"""An explanation as it can be read to a member over the phone, in Japanese and in English.

What must stay true: it says what the lines say, in their order, and no more; amounts and days are spoken in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, Final

from ledger.audit.explanation import DEBIT, Explanation, Line
from ledger.calendar import business_day

LINES_SPOKEN: Final = 12
"""Nobody listens to more: what comes before is told as one sum."""

FIGURES: Final = {
    "principal": ("principal", "元金"),
    "interest": ("interest", "利息"),
    "late_damages": ("late damages", "遅延損害金"),
    "fees": ("fees", "手数料"),
    "available_credit": ("available credit", "利用可能額"),
    "next_due": ("instalment due next", "次回のご返済額"),
}
EVENTS: Final = {
    "card.advance-confirmed": ("an advance", "ご融資"),
    "card.advance-reversed": ("an advance that was taken back", "ご融資の取消"),
    "card.advance-reserved": ("an advance under way", "手続き中のご融資"),
    "card.repayment-made": ("a repayment", "ご返済"),
    "card.repayment-reversed": ("a repayment that did not stay", "ご返済の取消"),
    "card.allocation-revised": ("a repayment reckoned again", "充当の見直し"),
    "card.refund-sent": ("a refund", "返金"),
    "card.card-issued": ("the credit limit of the agreement", "ご契約の極度額"),
    "card.limit-changed": ("the credit limit as it was changed", "変更後の極度額"),
}
BARS: Final = {
    "card-locked": ("the PIN was wrong too often, so the card is locked", "暗証番号の誤りにより、カードを一時停止"),
    "card-stopped": ("the card is stopped", "カードを停止"),
    "card-closed": ("the agreement has ended", "ご契約を解約"),
    "web-login-locked": ("the password was wrong too often, so the web login is locked", "Webログインを一時停止"),
    "late": ("a repayment is late, so no more can be borrowed", "ご返済の遅れにより、ご利用を停止"),
}
_MONTHS: Final = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
                  "November", "December")  # fmt: skip


def spoken(explanation: Explanation, language: str) -> str:
    """The explanation as one text; `language` is `ja` or `en`."""
    japanese = language == "ja"
    parts = _lockout(explanation, japanese) if explanation.of == "lockout" else _figure(explanation, japanese)
    return ("" if japanese else " ").join(parts)


def _figure(explanation: Explanation, ja: bool) -> Iterator[str]:
    name, day, figure = FIGURES[explanation.of][ja], explanation.value_date, explanation.figure
    if ja:
        yield f"{_day(day, ja)}現在の{name}は{figure:,}円です。"
    else:
        yield f"On {_day(day, ja)} the {name} {'are' if name.endswith('s') else 'is'} {figure:,} yen."
    earlier, told = explanation.lines[:-LINES_SPOKEN], explanation.lines[-LINES_SPOKEN:]
    if earlier:
        before = sum(line.signed for line in earlier)
        yield f"これより前の合計は{before:,}円です。" if ja else f"What was before comes to {before:,} yen."
    for line in told:
        yield _reckoned(line, ja) if line.calculation.get("segments") else _moved(line, ja)


def _moved(line: Line, ja: bool) -> str:
    event = "" if "due" in line.calculation else EVENTS.get(line.topic or "", ("", ""))[ja]
    on, amount, adds = line.value_date, f"{line.amount:,}", line.direction == DEBIT
    if not event:
        event = _other(line.calculation)[ja]
    if ja:
        day = "" if on is None else f"{_day(on, ja)}、"
        return f"{day}{event}により{amount}円{'増えます' if adds else '減ります'}。"
    day = "" if on is None else f"{_day(on, ja)}: "
    return (
        f"{day}{event[0].upper() if not day else event[0]}{event[1:]} {'adds' if adds else 'takes off'} {amount} yen."
    )


def _other(calculation: dict[str, Any]) -> tuple[str, str]:
    """What no event of its own stands for."""
    if "due" in calculation:
        return ("the instalment of this due date", "約定返済額")
    if "never_above" in calculation:
        return ("the rule that it is never above what is owed", "残高を上回らない扱い")
    if "explained_by" in calculation:
        return ("the principal", "元金")
    if "barred_by" in calculation:
        return ("a bar on borrowing", "ご利用の停止")
    return ("the rule that it is never below zero", "0円を下回らない扱い") if "never_below" in calculation else (
        "another entry", "その他の記録")  # fmt: skip


def _reckoned(line: Line, ja: bool) -> str:
    """Days, principal and rate of each stretch, and the sum with its fraction dropped."""
    stretches = [_stretch(each, ja) for each in line.calculation["segments"]]
    if ja:
        return f"{'、'.join(stretches)}。1円未満を切り捨てて{line.amount:,}円です。"
    return f"{'; '.join(stretches)}: {line.amount:,} yen, with fractions of a yen dropped."


def _stretch(segment: dict[str, Any], ja: bool) -> str:
    first, last = (_day(date.fromisoformat(segment[name]), ja) for name in ("first_day", "last_day"))
    rate = f"{segment['annual_rate_bps'] // 100}.{segment['annual_rate_bps'] % 100:02d}"
    principal, days = f"{segment['principal']:,}", segment["days"]
    if ja:
        return f"{first}から{last}まで{days}日間、元金{principal}円に年{rate}パーセント"
    return f"From {first} to {last}, {days} days on {principal} yen at {rate} percent a year"


def _lockout(explanation: Explanation, ja: bool) -> Iterator[str]:
    count = explanation.figure
    if ja:
        yield f"現在、ご利用を妨げるものは{count}件です。" if count else "現在、ご利用を妨げるものはありません。"
    elif count:
        yield f"{count} {'thing stands' if count == 1 else 'things stand'} in the way."
    else:
        yield "Nothing stands in the way."
    for line in explanation.lines[-LINES_SPOKEN:]:
        code = line.calculation["bar"]
        bar = BARS.get(code, (f"borrowing or the card was stopped ({code.replace('-', ' ')})", "ご利用を停止"))[ja]
        on = _day(business_day(datetime.fromisoformat(line.calculation["at"])), ja)
        if ja:
            yield f"{on}、{bar}しました。" if line.direction == DEBIT else f"{on}、「{bar}」は解除されました。"
        else:
            yield f"{on}: {bar}." if line.direction == DEBIT else f"{on}: this ended: {bar}."


def _day(day: date, ja: bool) -> str:
    return f"{day.year}年{day.month}月{day.day}日" if ja else f"{day.day} {_MONTHS[day.month - 1]} {day.year}"

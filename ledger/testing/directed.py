"""Stories that are told on purpose: one for each counter that chance does not fill.

What must stay true: each story brings its counter to the limit that the shipped policy sets.
"""

from __future__ import annotations

from collections.abc import Iterator

from ledger.testing import acts
from ledger.testing.acts import Act

DAY = 24 * 60


def patient_guesser(rounds: int, gap_days: int, at: str = "web", new_pin_after: int | None = None) -> Iterator[Act]:
    """Wrong, wrong, right: never three in a row. A day apart, ten fall into thirty days; eight days apart, a hundred
    into one PIN; a new PIN in between begins all counts again."""
    for number in range(rounds):
        if number == new_pin_after:
            yield acts.ResetPin()
        yield acts.TryPin("wrong", at)
        yield acts.TryPin("wrong")
        yield acts.TryPin("right", at)
        yield acts.Wait(gap_days * DAY)


def password_guesser(failures: int, minutes: int = 16) -> Iterator[Act]:
    """Wrong passwords, each followed by one more inside its wait, and the next after some minutes."""
    for _ in range(failures):
        yield acts.TryPassword("wrong")
        yield acts.TryPassword("wrong")
        yield acts.Wait(minutes)


def stayer(session: int, minutes: int, times: int) -> Iterator[Act]:
    """A session kept in use, for as long as it takes."""
    for _ in range(times):
        yield acts.Wait(minutes)
        yield acts.UseSession(session)


def stories() -> dict[str, list[Act]]:
    """Each of them once, by what it brings to its limit."""
    return {
        "three wrong PINs in a row": [
            *(acts.TryPin("wrong", at) for at in ("web", "atm", "app")),
            acts.TryPin("right"),
        ],
        "ten wrong PINs in thirty days": [*patient_guesser(6, 1, "atm")],
        "ten wrong passwords": [*password_guesser(10), acts.TryPassword("right"), acts.TryPin("right")],
        "twelve hours in one session": [acts.TryPin("right"), *stayer(0, 14, 52)],
        "four mails in an hour": [*[acts.MailReset()] * 4, acts.Wait(60), acts.MailReset()],
    }


def long_stories() -> dict[str, list[Act]]:
    """Those that take more than a year of the clock."""
    return {"a hundred wrong PINs of one generation": [*patient_guesser(51, 8)]}

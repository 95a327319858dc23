"""Every sequence of a few letters up to a length, in memory: what chance may pass over, this does not.

What must stay true: no sequence is left out but those in which a letter says nothing, since a shorter one is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ledger.testing import acts
from ledger.testing.acts import Act
from ledger.testing.model import Model
from ledger.testing.trial import Trial

DAY: Final = 24 * 60
Letter = Callable[[Model], Iterable[Act]]
"""The acts that a letter stands for, in the state that the model is in; none where it says nothing."""


def _lift(model: Model) -> list[Act]:
    standing = [number for number, stop in enumerate(model.access.stops) if not stop.lifted]
    return [acts.RequestLifting(standing[0]), acts.ApproveLifting(standing[0])] if standing else []


def _resume(model: Model) -> list[Act]:
    standing = [number for number, (_, ended) in enumerate(model.access.suspensions) if not ended]
    return [acts.Resume(standing[0])] if standing else []


def _newest_session(model: Model) -> list[Act]:
    sessions = len(model.access.sessions)
    return [acts.UseSession(sessions - 1)] if sessions else []


def _draw(model: Model) -> list[Act]:
    """Past the door; confirmed where it is granted."""
    advances = len(model.advances)
    return [acts.Draw(40_000, "prepaid"), acts.Confirm(advances)]


def _settle(model: Model) -> list[Act]:
    seen = model.see()
    owed = seen.principal + seen.interest + seen.late_damages
    return [acts.Repay(owed)] if owed else []


ALPHABET: Final[Mapping[str, Letter]] = {
    "wrong PIN": lambda _: [acts.TryPin("wrong")],
    "wrong PIN at an ATM": lambda _: [acts.TryPin("wrong", "atm")],
    "right PIN": lambda _: [acts.TryPin("right")],
    "new PIN": lambda _: [acts.ResetPin()],
    "wrong password": lambda _: [acts.TryPassword("wrong")],
    "right password": lambda _: [acts.TryPassword("right")],
    "session used": _newest_session,
    "stop": lambda _: [acts.StopCard("lost")],
    "stop lifted": _lift,
    "suspension": lambda _: [acts.Suspend("own-wish")],
    "suspension ended": _resume,
    "advance": _draw,
    "repayment": lambda _: [acts.Repay(3_000)],
    "settlement": _settle,
    "a day later": lambda _: [acts.Wait(DAY)],
    "31 days later": lambda _: [acts.Wait(31 * DAY)],
}


def tell_every_sequence(trial: Trial, length: int, alphabet: Mapping[str, Letter] = ALPHABET) -> int:
    """Tell every sequence of at most so many letters, each from the state of the trial; how many there were.

    Raises Discrepancy. The trial's driver must be one that can be forked.
    """
    if length == 0:
        return 0
    told = 0
    for letter in alphabet.values():
        story = list(letter(trial.model))
        if story:
            branch = trial.fork()
            branch.tell_all(story)
            told += 1 + tell_every_sequence(branch, length - 1, alphabet)
    return told

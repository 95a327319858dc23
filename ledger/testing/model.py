"""The model: what a member with a card must be answered, act by act. Small, obvious, and independent of the ledger.

What must stay true: it imports nothing that decides in the ledger, and follows
`docs/loan-rules.md` and the HTTP contract alone.
"""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from ledger.calendar import business_day
from ledger.testing import acts
from ledger.testing.acts import OK, Act, Opening, Outcome
from ledger.testing.driver import Seen
from ledger.testing.model_access import AccessModel, SessionModel, StopModel
from ledger.testing.model_account import DAY, MoneyModel
from ledger.testing.policy import Policy

SMALLEST_INTERNET_REPAYMENT = 200
CASH_UNIT = 1_000


@dataclass(slots=True)
class AdvanceModel:
    amount: int
    state: str = "reserved"


@dataclass(slots=True)
class MoneyEntry:
    """The last entry of money, which alone the model can take back: on its day, by the account before it."""

    kind: str
    number: int
    on: date
    before: MoneyModel


@dataclass(slots=True)
class Model:
    """One member with one card."""

    opening: Opening
    now: datetime
    policy: Policy = field(default_factory=Policy)
    access: AccessModel = field(init=False)
    money: MoneyModel = field(init=False)
    advances: list[AdvanceModel] = field(default_factory=list)
    reversed_repayments: list[bool] = field(default_factory=list)
    last_entry: MoneyEntry | None = None

    def __post_init__(self) -> None:
        self.access = AccessModel(self.policy)
        self.money = MoneyModel(
            credit_limit=self.opening.credit_limit,
            rate_bps=self.opening.annual_rate_bps,
            due_day=self.opening.due_day,
            free_wanted=self.opening.interest_free,
            paid_through=self.today,
        )

    @property
    def today(self) -> date:
        return business_day(self.now)

    def perform(self, act: Act) -> Outcome:
        """What the act must be answered."""
        outcome: Outcome = getattr(self, act.word)(act)
        return outcome

    def knows(self, act: Act) -> bool:
        """Whether the act speaks of things that there are, and that the model can follow."""
        made: dict[str, Sized] = {
            "session": self.access.sessions,
            "stop": self.access.stops,
            "suspension": self.access.suspensions,
            "mail": self.access.mails,
            "advance": self.advances,
            "repayment": self.reversed_repayments,
        }
        spoken = ((things, getattr(act, name, None)) for name, things in made.items())
        if any(number is not None and not 0 <= number < len(things) for things, number in spoken):
            return False
        match act:
            case acts.Wait(minutes=0):
                return False  # a shared clock has gone on
            case acts.TryPin(typed="old"):
                return self.access.has_old_pin
            case acts.TryPassword(typed="old"):
                return self.access.has_old_password
            case acts.ReverseAdvance():
                return self.advances[act.advance].state != "confirmed" or self._is_last("advance", act.advance)
            case acts.ReverseRepayment():
                return self.reversed_repayments[act.repayment] or self._is_last("repayment", act.repayment)
        return True

    def see(self) -> Seen:
        """What must be read now."""
        access, money = self.access, self.money.copy()
        money.judge(self.today - DAY)
        owed = money.owed(self.today)
        return Seen(
            principal=owed.principal,
            interest=owed.interest,
            late_damages=owed.late_damages,
            available_credit=self._available(),
            customer_credit=money.customer_credit,
            minimum_instalment=0 if money.due is None else min(money.instalment, owed.total),
            next_due=None if money.due is None else money.due[1],
            days_late=(self.today - money.missed[0][0]).days if money.missed else 0,
            can_log_in_card=not access.stopped and not access.locked,
            can_log_in_web=not (access.stopped or access.locked or access.web_locked or access.waiting(self.now)),
            can_borrow=access.borrowing_bar() is None,
            pin_failures=access.in_a_row,
            web_failures=access.web_failures,
            locks=access.locks(),
        )

    # Logging in -------------------------------------------------------------------------------------------------------

    def try_pin(self, act: acts.TryPin) -> Outcome:
        if act.typed == "full-width":
            return Outcome("input-not-half-width")
        if self.access.locked:
            return Outcome("card-locked")
        if act.typed != "right":
            left = self.access.count_wrong_pin(self.now)
            return Outcome("bad-credentials" if left > 0 else "card-locked",
                           {"tries_left": left} if left > 0 and act.at == "atm" else {})  # fmt: skip
        if self.access.stopped:
            return Outcome("card-stopped")
        self.access.in_a_row = 0
        return self._let_in(act.at)

    def try_password(self, act: acts.TryPassword) -> Outcome:
        access = self.access
        if access.web_locked:
            return Outcome("web-login-locked")
        if access.waiting(self.now):
            return Outcome("login-wait")
        if act.typed != "right":
            access.count_wrong_password(self.now)
            return Outcome("web-login-locked" if access.web_locked else "bad-credentials")
        if access.locked or access.stopped:
            return Outcome("card-locked" if access.locked else "card-stopped")
        access.web_failures, access.web_waits_until = 0, None
        return self._let_in("web")

    def _let_in(self, channel: str) -> Outcome:
        self.access.open_session(channel, self.now)
        return Outcome("ok", {"outcome": "ok-restricted" if self.access.suspended else "ok"})

    def use_session(self, act: acts.UseSession) -> Outcome:
        return OK if self.access.enter(act.session, self.now) else Outcome("session-ended")

    # Secrets ----------------------------------------------------------------------------------------------------------

    def reset_pin(self, act: acts.ResetPin) -> Outcome:
        if act.by not in ("counter", "contract-machine"):
            return Outcome("channel-not-permitted|role-not-permitted")
        if act.document != "fresh":
            return Outcome("document-refused")
        if act.new != "another":
            return Outcome("pin-refused")
        self.access.new_pin()
        return OK

    def mail_reset(self, _: acts.MailReset) -> Outcome:
        """The answer never tells whether a mail goes out; the outbox does."""
        return Outcome("ok", {"mailed": self.access.mail(self.now)})

    def complete_reset(self, act: acts.CompleteReset) -> Outcome:
        if not self.access.token_is_good(act.mail, self.now):
            return Outcome("reset-token-spent")
        if act.new != "another":
            return Outcome("password-refused")
        self.access.new_password()
        return OK

    # Stops and suspensions --------------------------------------------------------------------------------------------

    def stop_card(self, act: acts.StopCard) -> Outcome:
        self.access.stops.append(StopModel(act.reason))
        self.access.end_sessions()
        return OK

    def request_lifting(self, act: acts.RequestLifting) -> Outcome:
        stop = self.access.stops[act.stop]
        if stop.lifted:
            return Outcome("already-ended")
        stop.requested_by = act.by
        return OK

    def approve_lifting(self, act: acts.ApproveLifting) -> Outcome:
        stop = self.access.stops[act.stop]
        if stop.lifted:
            return Outcome("already-ended")
        if stop.requested_by is None:
            return Outcome("lifting-not-requested")
        if stop.requested_by == act.by:
            return Outcome("second-person-required")
        stop.lifted = True
        return OK

    def suspend(self, act: acts.Suspend) -> Outcome:
        self.access.suspensions.append((act.reason, False))
        return OK

    def resume(self, act: acts.Resume) -> Outcome:
        reason, ended = self.access.suspensions[act.suspension]
        self.access.suspensions[act.suspension] = (reason, True)
        return Outcome("already-ended") if ended else OK

    # Time -------------------------------------------------------------------------------------------------------------

    def wait(self, act: acts.Wait) -> Outcome:
        self.now += timedelta(minutes=act.minutes)
        return OK

    def close_day(self, _: acts.CloseDay) -> Outcome:
        self._follow_lateness(self.money.judge(self.today - DAY))
        return OK

    def _follow_lateness(self, found: list[date]) -> None:
        if not self.money.missed or found:
            self.access.late = bool(self.money.missed)
        if any(self.money.missed_too_often(due) for due in found):
            self.access.often_late = True
            self.access.end_sessions()

    # Money ------------------------------------------------------------------------------------------------------------

    def draw(self, act: acts.Draw) -> Outcome:
        session = SessionModel("atm", self.now, self.now)  # past the door it is whatever it must be
        if act.session is not None:
            entered = self.access.enter(act.session, self.now)
            if entered is None:
                return Outcome("session-ended")
            session = entered
        if act.purpose == "cash" and session.channel != "atm":
            return Outcome("channel-not-permitted")
        if act.purpose == "cash" and act.amount % CASH_UNIT:
            return Outcome("amount-not-in-unit")
        bar = self.access.borrowing_bar()
        if bar is not None:
            return Outcome(bar)
        if act.purpose == "transfer" and not self.opening.payout_account:
            return Outcome("payout-account-missing")
        if act.amount > self._available():
            return Outcome("credit-limit-exceeded", {"available_credit": self._available()})
        self.advances.append(AdvanceModel(act.amount))
        return self._told_credit("reserved")

    def confirm(self, act: acts.Confirm) -> Outcome:
        advance = self.advances[act.advance]
        if advance.state != "reserved":
            return Outcome("advance-not-reserved")
        found = self.money.judge(self.today - DAY)
        self._note("advance", act.advance)
        advance.state = "confirmed"
        self.money.draw(advance.amount, self.today)
        self._follow_lateness(found)
        return self._told_credit("confirmed")

    def fail(self, act: acts.Fail) -> Outcome:
        advance = self.advances[act.advance]
        if advance.state != "reserved":
            return Outcome("advance-not-reserved")
        advance.state = "failed"
        return self._told_credit("failed")

    def reverse_advance(self, act: acts.ReverseAdvance) -> Outcome:
        advance = self.advances[act.advance]
        if advance.state == "reversed":
            return Outcome("already-reversed")
        if advance.state != "confirmed":
            return Outcome("advance-not-confirmed")
        advance.state = "reversed"
        self._take_back()
        return self._told_credit("reversed")

    def repay(self, act: acts.Repay) -> Outcome:
        """Taken whatever the state of the card: only a member who still has the choice is turned away."""
        if act.method == "internet":
            refusal = self._internet_refusal(act)
            if refusal is not None:
                return refusal
        found = self.money.judge(self.today - DAY)
        self._note("repayment", len(self.reversed_repayments))
        told = self.money.repay(act.amount, self.today, act.method)
        self.reversed_repayments.append(False)
        self._follow_lateness(found)
        return Outcome("ok", {**told, "next_due": None if self.money.due is None else self.money.due[1].isoformat()})

    def _internet_refusal(self, act: acts.Repay) -> Outcome | None:
        assert act.session is not None
        if self.access.enter(act.session, self.now) is None:
            return Outcome("session-ended")
        judged = self.money.copy()
        judged.judge(self.today - DAY)
        owed = judged.owed(self.today).total
        if owed == 0:
            return Outcome("nothing-owed")
        return Outcome("amount-below-minimum") if act.amount < min(SMALLEST_INTERNET_REPAYMENT, owed) else None

    def reverse_repayment(self, act: acts.ReverseRepayment) -> Outcome:
        if self.reversed_repayments[act.repayment]:
            return Outcome("already-reversed")
        self.reversed_repayments[act.repayment] = True
        self._take_back()
        return Outcome("ok", {"principal_after": self.money.principal})

    def _note(self, kind: str, number: int) -> None:
        self.last_entry = MoneyEntry(kind, number, self.today, self.money.copy())

    def _is_last(self, kind: str, number: int) -> bool:
        last = self.last_entry
        return last is not None and (last.kind, last.number, last.on) == (kind, number, self.today)

    def _take_back(self) -> None:
        assert self.last_entry is not None
        self.money, self.last_entry = self.last_entry.before, None
        self.access.late = bool(self.money.missed)

    def _told_credit(self, state: str) -> Outcome:
        return Outcome("ok", {"state": state, "available_credit": self._available()})

    def _available(self) -> int:
        """What may still be drawn: nothing while anything bars borrowing."""
        in_flight = sum(each.amount for each in self.advances if each.state == "reserved")
        free = self.money.credit_limit - self.money.principal - in_flight
        return max(0, free) if self.access.borrowing_bar() is None else 0

"""The rule-based state machine: random lives of a member with a card, on any driver, watched by the model.

What must stay true: a rule only chooses acts. What they must be answered is the model's to say, and every counter that
is long has a rule of its own here, since chance does not get there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ledger.testing import acts, directed
from ledger.testing.acts import Act, Opening
from ledger.testing.driver import Driver
from ledger.testing.model import Model
from ledger.testing.policy import Policy
from ledger.testing.strategies import METHODS, STOP_REASONS, SUSPENSION_REASONS, amounts, openings, waits
from ledger.testing.trial import Trial

numbers = st.integers(0, 5)
surfaces = st.sampled_from(["web", "app", "atm"])
staff = st.sampled_from(["credit", "second-credit"])


def has(things: Callable[[Model], Sequence[object]]) -> Callable[[Any], bool]:
    """Whether there are such things yet."""
    return lambda machine: machine.began and bool(things(machine.trial.model))


def driver_can(name: str) -> Callable[[Any], bool]:
    return lambda machine: bool(getattr(machine.driver, name))


class Life(RuleBasedStateMachine):
    """One member with one card. Subclasses, as `machine` makes them, name the driver and the policy expected."""

    driver: Driver
    policy: Policy = Policy()
    trial: Trial
    began = False
    told: Callable[[], None] | None = None
    """Called at the end of every life."""

    @initialize(opening=openings(), loan=st.none() | amounts(100_000))
    def begin(self, opening: Opening, loan: int | None) -> None:
        self.trial = Trial(self.driver, opening, self.policy)
        self.began = True
        if loan is not None:
            self.borrow(loan)

    def tell(self, *story: Act) -> None:
        """Tell the acts; a session that ends by one of them is tried at once."""
        for act in story:
            sessions = self.trial.model.access.sessions
            good = [number for number, session in enumerate(sessions) if session.alive]
            self.trial.tell(act)
            if good and not sessions[good[-1]].alive:
                self.trial.tell(acts.UseSession(good[-1]))

    def teardown(self) -> None:
        if self.told is not None:
            self.told()
        if self.began:
            self.trial.end()

    # Logging in -------------------------------------------------------------------------------------------------------

    @rule(secret=st.sampled_from(["wrong", "right", "wrong", "old", "full-width"]), at=surfaces)
    def try_pin(self, secret: str, at: str) -> None:
        self.tell(acts.TryPin(secret, at))

    @rule(secret=st.sampled_from(["right", "wrong", "right", "old"]), times=st.integers(1, 4))
    def try_password(self, secret: str, times: int) -> None:
        for _ in range(times if secret == "wrong" else 1):
            self.tell(acts.TryPassword(secret))

    @precondition(has(lambda model: model.access.sessions))
    @rule(number=numbers)
    def use_session(self, number: int) -> None:
        self.tell(acts.UseSession(self._session(number)))

    @precondition(driver_can("time_is_free"))
    @rule(
        rounds=st.sampled_from([5, 51, 2, 11]),
        gap_days=st.sampled_from([8, 1, 3]),
        at=surfaces,
        new_pin_after=st.sampled_from([None, 4]),
    )
    def guess_patiently(self, rounds: int, gap_days: int, at: str, new_pin_after: int | None) -> None:
        self.tell(*directed.patient_guesser(rounds, gap_days, at, new_pin_after))

    @rule(failures=st.sampled_from([10, 5, 8]), minutes=st.sampled_from([2, 16]))
    def guess_the_password(self, failures: int, minutes: int) -> None:
        self.tell(*directed.password_guesser(failures, minutes))

    @rule(minutes=st.sampled_from([8, 14]), times=st.sampled_from([1, 2, 52]), at=surfaces)
    def stay_logged_in(self, minutes: int, times: int, at: str) -> None:
        self.tell(acts.TryPin("right", at))
        if self.trial.model.access.sessions:
            self.tell(*directed.stayer(self._session(0), minutes, times))

    # Secrets ----------------------------------------------------------------------------------------------------------

    @rule(
        by=st.sampled_from(["counter", "contract-machine", "counter", "call-centre"]),
        new=st.sampled_from(["another", "another", "present", "common"]),
        document=st.sampled_from(["fresh", "fresh", "fresh", "stale", "unknown"]),
    )
    def reset_pin(self, by: str, new: str, document: str) -> None:
        self.tell(acts.ResetPin(by, new, document))

    @rule(secret=st.sampled_from(["right", "old"]), at=surfaces)
    def set_new_pin(self, secret: str, at: str) -> None:
        """The common way; then one of the two PINs."""
        self.tell(acts.ResetPin(), acts.TryPin(secret, at))

    @rule(minutes=st.sampled_from([0, 4, 16]), secret=st.sampled_from(["right", "old"]))
    def set_new_password(self, minutes: int, secret: str) -> None:
        mails = len(self.trial.model.access.mails)
        self.tell(acts.MailReset(), acts.Wait(minutes), acts.CompleteReset(mails), acts.TryPassword(secret))

    @rule()
    def make_good(self) -> None:
        """Everything that persons can end is ended."""
        access = self.trial.model.access
        for number, stop in enumerate(access.stops):
            if not stop.lifted:
                self.tell(acts.RequestLifting(number), acts.ApproveLifting(number))
        self.tell(*[acts.Resume(number) for number, (_, ended) in enumerate(access.suspensions) if not ended])
        self.tell(acts.ResetPin())

    @rule()
    def mail_reset(self) -> None:
        self.tell(acts.MailReset())

    @precondition(has(lambda model: model.access.mails))
    @rule(number=numbers, new=st.sampled_from(["another", "another", "common"]))
    def complete_reset(self, number: int, new: str) -> None:
        mails = self.trial.model.access.mails
        self.tell(acts.CompleteReset(len(mails) - 1 - number % len(mails), new))

    # Stops and suspensions --------------------------------------------------------------------------------------------

    @rule(reason=st.sampled_from(STOP_REASONS))
    def stop_card(self, reason: str) -> None:
        self.tell(acts.StopCard(reason))

    @precondition(has(lambda model: model.access.stops))
    @rule(number=numbers, by=staff)
    def request_lifting(self, number: int, by: str) -> None:
        self.tell(acts.RequestLifting(number % len(self.trial.model.access.stops), by))

    @precondition(has(lambda model: model.access.stops))
    @rule(number=numbers, by=staff)
    def approve_lifting(self, number: int, by: str) -> None:
        self.tell(acts.ApproveLifting(number % len(self.trial.model.access.stops), by))

    @precondition(has(lambda model: model.access.stops))
    @rule(number=numbers)
    def lift(self, number: int) -> None:
        stop = number % len(self.trial.model.access.stops)
        self.tell(*[acts.RequestLifting(stop), acts.ApproveLifting(stop)])

    @rule(reason=st.sampled_from(SUSPENSION_REASONS))
    def suspend(self, reason: str) -> None:
        self.tell(acts.Suspend(reason))

    @precondition(has(lambda model: model.access.suspensions))
    @rule(number=numbers)
    def resume(self, number: int) -> None:
        self.tell(acts.Resume(number % len(self.trial.model.access.suspensions)))

    # Time -------------------------------------------------------------------------------------------------------------

    @rule(minutes=waits())
    def wait(self, minutes: int) -> None:
        self.tell(acts.Wait(minutes))

    @precondition(has(lambda model: [model.money.due] if model.money.due else []))
    @rule(days=st.sampled_from([1, 0, 2]))
    def let_the_due_date_pass(self, days: int) -> None:
        seen = self.trial.model.see()
        if seen.next_due is not None:
            self.tell(acts.Wait(((seen.next_due - self.trial.model.today).days + days) * directed.DAY))

    @precondition(driver_can("closes_days"))
    @rule()
    def close_day(self) -> None:
        self.tell(acts.CloseDay())

    # Money ------------------------------------------------------------------------------------------------------------

    @rule(amount=amounts(), purpose=st.sampled_from(["transfer", "transfer", "prepaid", "cash"]), at=surfaces)
    def log_in_and_draw(self, amount: int, purpose: str, at: str) -> None:
        before = len(self.trial.model.access.sessions)
        self.tell(acts.TryPin("right", at))
        if len(self.trial.model.access.sessions) > before:
            self.tell(acts.Draw(amount, purpose, before))

    @rule(amount=amounts(100_000))
    def borrow(self, amount: int) -> None:
        """The common way, in one step: logged in, drawn, and the money left."""
        advances = len(self.trial.model.advances)
        self.log_in_and_draw(amount, "prepaid", "web")
        if len(self.trial.model.advances) > advances:
            self.tell(acts.Confirm(advances))

    @precondition(has(lambda model: model.access.sessions))
    @rule(amount=amounts(), purpose=st.sampled_from(["transfer", "prepaid", "cash"]), number=numbers)
    def draw(self, amount: int, purpose: str, number: int) -> None:
        self.tell(acts.Draw(amount, purpose, self._session(number)))

    @rule(over=st.sampled_from([0, 0, 1]), at=surfaces)
    def draw_what_is_left(self, over: int, at: str) -> None:
        amount = self.trial.model.see().available_credit + over
        if amount >= 1:
            self.log_in_and_draw(amount, "prepaid", at)

    @precondition(driver_can("past_the_door"))
    @rule(amount=amounts(100_000), purpose=st.sampled_from(["prepaid", "transfer", "cash"]))
    def draw_past_the_door(self, amount: int, purpose: str) -> None:
        self.tell(acts.Draw(amount, purpose))

    @precondition(has(lambda model: model.advances))
    @rule(number=numbers)
    def confirm(self, number: int) -> None:
        self.tell(acts.Confirm(self._advance(number)))

    @precondition(has(lambda model: model.advances))
    @rule(number=numbers)
    def fail(self, number: int) -> None:
        self.tell(acts.Fail(self._advance(number)))

    @precondition(has(lambda model: model.advances))
    @rule(number=numbers)
    def reverse_advance(self, number: int) -> None:
        self.tell(acts.ReverseAdvance(self._advance(number)))

    @rule(amount=amounts(60_000), method=st.sampled_from(METHODS))
    def repay(self, amount: int, method: str) -> None:
        self.tell(acts.Repay(amount, method))

    @rule(short=st.sampled_from([0, 0, 1, 500, 999, 1_000, -1, -5_000]), method=st.sampled_from(METHODS))
    def repay_what_is_owed(self, short: int, method: str) -> None:
        """All of it, or a little less or more."""
        amount = self._owed() - short
        if amount >= 1:
            self.tell(acts.Repay(amount, method))

    @rule(quarters=st.integers(1, 4), method=st.sampled_from(METHODS))
    def repay_a_part_of_the_interest(self, quarters: int, method: str) -> None:
        seen = self.trial.model.see()
        amount = (seen.interest + seen.late_damages) * quarters // 4
        if amount >= 1:
            self.tell(acts.Repay(amount, method))

    @rule(short=st.sampled_from([0, 0, 1, -1]), method=st.sampled_from(METHODS))
    def repay_the_instalment(self, short: int, method: str) -> None:
        amount = self.trial.model.see().minimum_instalment - short
        if amount >= 1:
            self.tell(acts.Repay(amount, method))

    @precondition(has(lambda model: model.access.sessions))
    @rule(amount=st.sampled_from([1, 199, 200, 5_000]), number=numbers)
    def repay_by_internet(self, amount: int, number: int) -> None:
        self.tell(acts.Repay(amount, "internet", self._session(number)))

    @precondition(has(lambda model: model.reversed_repayments))
    @rule(number=numbers)
    def reverse_repayment(self, number: int) -> None:
        self.tell(acts.ReverseRepayment(len(self.trial.model.reversed_repayments) - 1 - min(number, 1)))

    @rule(amount=amounts(60_000), method=st.sampled_from(METHODS))
    def repay_and_take_back(self, amount: int, method: str) -> None:
        self.tell(*[acts.Repay(amount, method), acts.ReverseRepayment(self._next_repayment())])

    @rule(amount=amounts(60_000))
    def borrow_and_take_back(self, amount: int) -> None:
        advances = len(self.trial.model.advances)
        self.borrow(amount)
        self.tell(acts.ReverseAdvance(advances))

    # Things by number, the newest first -------------------------------------------------------------------------------

    def _session(self, number: int) -> int:
        sessions = len(self.trial.model.access.sessions)
        return sessions - 1 - number % sessions

    def _advance(self, number: int) -> int:
        advances = len(self.trial.model.advances)
        return advances - 1 - number % advances

    def _next_repayment(self) -> int:
        return len(self.trial.model.reversed_repayments)

    def _owed(self) -> int:
        seen = self.trial.model.see()
        return seen.principal + seen.interest + seen.late_damages


def machine(driver: Driver, policy: Policy | None = None, *, told: Callable[[], None] | None = None) -> type[Life]:
    """The machine on one driver: give it to `run_state_machine_as_test`, or use its `TestCase`."""
    return type("Life", (Life,), {"driver": driver, "policy": policy or Policy(), "told": staticmethod(told) if told else None})

"""The rules of the account: advances, repayments, due dates that pass, and entries that are taken back."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from ledger.testing import acts, directed
from ledger.testing.strategies import METHODS, amounts, waits
from ledger.testing.telling import NUMBERS, SURFACES, Telling, driver_can, has


class AccountRules(Telling):
    """Whatever moves money, or lets it grow."""

    # Time -------------------------------------------------------------------------------------------------------------

    @rule(minutes=waits(shortest_minutes=60))
    def let_time_pass(self, minutes: int) -> None:
        self.tell(acts.Wait(minutes))

    @precondition(has(lambda model: [model.money.due] if model.money.due else []))
    @rule(days=st.sampled_from([1, 0, 2]))
    def let_the_due_date_pass(self, days: int) -> None:
        seen = self.model.see()
        if seen.next_due is not None:
            self.tell(acts.Wait(((seen.next_due - self.model.today).days + days) * directed.DAY))

    @precondition(driver_can("closes_days"))
    @rule()
    def close_day(self) -> None:
        self.tell(acts.CloseDay())

    # Money ------------------------------------------------------------------------------------------------------------

    @rule(amount=amounts(), purpose=st.sampled_from(["transfer", "transfer", "prepaid", "cash"]), at=SURFACES)
    def log_in_and_draw(self, amount: int, purpose: str, at: str) -> None:
        before = len(self.model.access.sessions)
        self.tell(acts.TryPin("right", at))
        if len(self.model.access.sessions) > before:
            self.tell(acts.Draw(amount, purpose, before))

    @rule(amount=amounts(100_000))
    def borrow(self, amount: int) -> None:
        """The common way, in one step: logged in, drawn, and the money left."""
        advances = len(self.model.advances)
        self.log_in_and_draw(amount, "prepaid", "web")
        if len(self.model.advances) > advances:
            self.tell(acts.Confirm(advances))

    @precondition(has(lambda model: model.access.sessions))
    @rule(amount=amounts(), purpose=st.sampled_from(["transfer", "prepaid", "cash"]), number=NUMBERS)
    def draw(self, amount: int, purpose: str, number: int) -> None:
        self.tell(acts.Draw(amount, purpose, self.newest_session(number)))

    @rule(over=st.sampled_from([0, 0, 1]), at=SURFACES)
    def draw_what_is_left(self, over: int, at: str) -> None:
        """All that is available, or one yen more."""
        amount, advances = self.model.see().available_credit + over, len(self.model.advances)
        if amount >= 1:
            self.log_in_and_draw(amount, "prepaid", at)
            self.tell(acts.Confirm(advances))

    @precondition(driver_can("past_the_door"))
    @rule(amount=amounts(100_000), purpose=st.sampled_from(["prepaid", "transfer", "cash"]))
    def draw_past_the_door(self, amount: int, purpose: str) -> None:
        self.tell(acts.Draw(amount, purpose))

    @precondition(has(lambda model: model.advances))
    @rule(number=NUMBERS)
    def confirm(self, number: int) -> None:
        self.tell(acts.Confirm(self.newest_advance(number)))

    @precondition(has(lambda model: model.advances))
    @rule(number=NUMBERS)
    def fail(self, number: int) -> None:
        self.tell(acts.Fail(self.newest_advance(number)))

    @precondition(has(lambda model: model.advances))
    @rule(number=NUMBERS)
    def reverse_advance(self, number: int) -> None:
        self.tell(acts.ReverseAdvance(self.newest_advance(number)))

    @rule(amount=amounts(60_000), method=st.sampled_from(METHODS))
    def repay(self, amount: int, method: str) -> None:
        self.tell(acts.Repay(amount, method))

    @rule(short=st.sampled_from([0, 0, 1, 500, 999, 1_000, -1, -5_000]), method=st.sampled_from(METHODS))
    def repay_what_is_owed(self, short: int, method: str) -> None:
        """All of it, or a little less or more."""
        amount = self.owed() - short
        if amount >= 1:
            self.tell(acts.Repay(amount, method))

    @rule(quarters=st.integers(1, 4), method=st.sampled_from(METHODS))
    def repay_a_part_of_the_interest(self, quarters: int, method: str) -> None:
        seen = self.model.see()
        amount = (seen.interest + seen.late_damages) * quarters // 4
        if amount >= 1:
            self.tell(acts.Repay(amount, method))

    @rule(short=st.sampled_from([0, 0, 1, -1]), method=st.sampled_from(METHODS))
    def repay_the_instalment(self, short: int, method: str) -> None:
        amount = self.model.see().minimum_instalment - short
        if amount >= 1:
            self.tell(acts.Repay(amount, method))

    @precondition(has(lambda model: model.access.sessions))
    @rule(amount=st.sampled_from([1, 199, 200, 5_000]), number=NUMBERS)
    def repay_by_internet(self, amount: int, number: int) -> None:
        self.tell(acts.Repay(amount, "internet", self.newest_session(number)))

    @precondition(has(lambda model: model.reversed_repayments))
    @rule(number=NUMBERS)
    def reverse_repayment(self, number: int) -> None:
        self.tell(acts.ReverseRepayment(len(self.model.reversed_repayments) - 1 - min(number, 1)))

    @rule(amount=amounts(60_000), method=st.sampled_from(METHODS))
    def repay_and_take_back(self, amount: int, method: str) -> None:
        self.tell(*[acts.Repay(amount, method), acts.ReverseRepayment(len(self.model.reversed_repayments))])

    @rule(amount=amounts(60_000))
    def borrow_and_take_back(self, amount: int) -> None:
        advances = len(self.model.advances)
        self.borrow(amount)
        self.tell(acts.ReverseAdvance(advances))

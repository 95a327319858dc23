"""The rules of access: logging in, secrets, sessions, stops and suspensions, and the time in between."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from ledger.testing import acts, directed
from ledger.testing.strategies import STOP_REASONS, SUSPENSION_REASONS, waits
from ledger.testing.telling import NUMBERS, SURFACES, Telling, driver_can, has

STAFF: Final = st.sampled_from(["credit", "second-credit"])


class AccessRules(Telling):
    """Whatever lets somebody in or keeps somebody out."""

    # Logging in -------------------------------------------------------------------------------------------------------

    @rule(typed=st.sampled_from(["wrong", "right", "wrong", "old", "full-width"]), at=SURFACES)
    def try_pin(self, typed: str, at: str) -> None:
        self.tell(acts.TryPin(typed, at))

    @rule(typed=st.sampled_from(["right", "wrong", "right", "old"]), times=st.integers(1, 4))
    def try_password(self, typed: str, times: int) -> None:
        for _ in range(times if typed == "wrong" else 1):
            self.tell(acts.TryPassword(typed))

    @precondition(has(lambda model: model.access.sessions))
    @rule(number=NUMBERS)
    def use_session(self, number: int) -> None:
        self.tell(acts.UseSession(self.newest_session(number)))

    @precondition(driver_can("time_is_free"))
    @rule(
        rounds=st.sampled_from([5, 2, 11]),
        gap_days=st.sampled_from([8, 1, 3]),
        at=SURFACES,
        new_pin_after=st.sampled_from([None, 4]),
    )
    def guess_patiently(self, rounds: int, gap_days: int, at: str, new_pin_after: int | None) -> None:
        self.settle()
        self.tell(*directed.patient_guesser(rounds, gap_days, at, new_pin_after))

    @precondition(driver_can("time_is_free"))
    @rule(at=SURFACES)
    def guess_for_years(self, at: str) -> None:
        self.settle()
        self.make_good()
        self.tell(*directed.patient_guesser(51, 8, at))

    @rule(failures=st.sampled_from([10, 5, 8]), minutes=st.sampled_from([2, 16]))
    def guess_the_password(self, failures: int, minutes: int) -> None:
        self.tell(*directed.password_guesser(failures, minutes))

    @rule(minutes=st.sampled_from([8, 14]), times=st.sampled_from([1, 2, 52]), at=SURFACES)
    def stay_logged_in(self, minutes: int, times: int, at: str) -> None:
        self.tell(acts.TryPin("right", at))
        if self.model.access.sessions:
            self.tell(*directed.stayer(self.newest_session(0), minutes, times))

    # Secrets ----------------------------------------------------------------------------------------------------------

    @rule(
        by=st.sampled_from(["counter", "contract-machine", "counter", "call-centre"]),
        new=st.sampled_from(["another", "another", "present", "common"]),
        document=st.sampled_from(["fresh", "fresh", "fresh", "stale", "unknown"]),
    )
    def reset_pin(self, by: str, new: str, document: str) -> None:
        self.tell(acts.ResetPin(by, new, document))

    @rule(typed=st.sampled_from(["right", "old"]), at=SURFACES)
    def set_new_pin(self, typed: str, at: str) -> None:
        """The common way; then one of the two PINs."""
        self.tell(acts.ResetPin(), acts.TryPin(typed, at))

    @rule(minutes=st.sampled_from([0, 4, 16]), typed=st.sampled_from(["right", "old"]))
    def set_new_password(self, minutes: int, typed: str) -> None:
        mails = len(self.model.access.mails)
        self.tell(acts.MailReset(), acts.Wait(minutes), acts.CompleteReset(mails), acts.TryPassword(typed))

    @rule()
    def make_good(self) -> None:
        """Everything that persons can end is ended."""
        access = self.model.access
        for number, stop in enumerate(access.stops):
            if not stop.lifted:
                self.tell(acts.RequestLifting(number), acts.ApproveLifting(number))
        self.tell(*[acts.Resume(number) for number, (_, ended) in enumerate(access.suspensions) if not ended])
        self.tell(acts.ResetPin())

    @rule()
    def mail_reset(self) -> None:
        self.tell(acts.MailReset())

    @precondition(has(lambda model: model.access.mails))
    @rule(number=NUMBERS, new=st.sampled_from(["another", "another", "common"]))
    def complete_reset(self, number: int, new: str) -> None:
        mails = self.model.access.mails
        self.tell(acts.CompleteReset(len(mails) - 1 - number % len(mails), new))

    # Stops and suspensions --------------------------------------------------------------------------------------------

    @rule(reason=st.sampled_from(STOP_REASONS))
    def stop_card(self, reason: str) -> None:
        self.tell(acts.StopCard(reason))

    @precondition(has(lambda model: model.access.stops))
    @rule(number=NUMBERS, by=STAFF)
    def request_lifting(self, number: int, by: str) -> None:
        self.tell(acts.RequestLifting(number % len(self.model.access.stops), by))

    @precondition(has(lambda model: model.access.stops))
    @rule(number=NUMBERS, by=STAFF)
    def approve_lifting(self, number: int, by: str) -> None:
        self.tell(acts.ApproveLifting(number % len(self.model.access.stops), by))

    @precondition(has(lambda model: model.access.stops))
    @rule(number=NUMBERS, second=STAFF)
    def lift(self, number: int, second: str) -> None:
        """Ask and approve; by one person or by two."""
        stop = number % len(self.model.access.stops)
        self.tell(acts.RequestLifting(stop), acts.ApproveLifting(stop, second))

    @rule(reason=st.sampled_from(SUSPENSION_REASONS))
    def suspend(self, reason: str) -> None:
        self.tell(acts.Suspend(reason))

    @precondition(has(lambda model: model.access.suspensions))
    @rule(number=NUMBERS)
    def resume(self, number: int) -> None:
        self.tell(acts.Resume(number % len(self.model.access.suspensions)))

    # Time -------------------------------------------------------------------------------------------------------------

    @rule(minutes=waits())
    def wait(self, minutes: int) -> None:
        self.tell(acts.Wait(minutes))

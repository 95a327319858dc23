"""Who may use the card, as the model has it: three counters, a lock, sets of stops and suspensions, sessions.

What must stay true: time ends waits, sessions and mails, and nothing else; only a new PIN ends the lock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ledger.testing.policy import Policy

MINUTE = timedelta(minutes=1)


@dataclass(slots=True)
class SessionModel:
    channel: str
    opened: datetime
    used: datetime
    alive: bool = True


@dataclass(slots=True)
class StopModel:
    reason: str
    requested_by: str | None = None
    lifted: bool = False


@dataclass(slots=True)
class AccessModel:
    """`late` and `often_late` are what rules set; `stops` and `suspensions` what persons set, by number."""

    policy: Policy
    in_a_row: int = 0
    in_window: list[datetime] = field(default_factory=list)
    in_generation: int = 0
    locked: bool = False
    has_old_pin: bool = False
    stops: list[StopModel] = field(default_factory=list)
    suspensions: list[tuple[str, bool]] = field(default_factory=list)
    """Reason, and whether it has ended."""
    late: bool = False
    often_late: bool = False
    web_failures: int = 0
    web_waits_until: datetime | None = None
    web_locked: bool = False
    has_old_password: bool = False
    mails: list[datetime] = field(default_factory=list)
    good_mail: int | None = None
    sessions: list[SessionModel] = field(default_factory=list)

    # PIN --------------------------------------------------------------------------------------------------------------

    def count_wrong_pin(self, now: datetime) -> int:
        """Count it, and lock at a limit; the tries left."""
        self.in_a_row += 1
        self.in_generation += 1
        self.in_window = [at for at in self.in_window if now - at < timedelta(days=self.policy.pin_window_days)] + [now]
        left = min(
            self.policy.pin_max_failures - self.in_a_row,
            self.policy.pin_window_failures - len(self.in_window),
            self.policy.pin_generation_failures - self.in_generation,
        )
        if left <= 0:
            self.locked = True
            self.end_sessions()
        return left

    def new_pin(self) -> None:
        self.in_a_row = self.in_generation = 0
        self.in_window = []
        self.locked, self.has_old_pin = False, True
        self.end_sessions()

    # Password ---------------------------------------------------------------------------------------------------------

    def waiting(self, now: datetime) -> bool:
        return self.web_waits_until is not None and now < self.web_waits_until

    def count_wrong_password(self, now: datetime) -> None:
        self.web_failures += 1
        self.web_waits_until = None
        over = self.web_failures - self.policy.password_waits_from
        if self.web_failures >= self.policy.password_max_failures:
            self.web_locked = True
        elif over >= 0:
            waits = self.policy.password_waits_seconds
            self.web_waits_until = now + timedelta(seconds=waits[min(over, len(waits) - 1)])

    def mail(self, now: datetime) -> bool:
        """Whether a mail goes out; only the newest one's token is good."""
        if sum(now - at < MINUTE * 60 for at in self.mails) >= self.policy.reset_mails_per_hour:
            return False
        self.good_mail = len(self.mails)
        self.mails.append(now)
        return True

    def token_is_good(self, number: int, now: datetime) -> bool:
        return number == self.good_mail and now - self.mails[number] < MINUTE * self.policy.reset_token_minutes

    def new_password(self) -> None:
        self.web_failures, self.web_waits_until, self.web_locked = 0, None, False
        self.has_old_password = True
        self.good_mail = None
        self.end_sessions()

    # Bars -------------------------------------------------------------------------------------------------------------

    @property
    def stopped(self) -> bool:
        return self.often_late or any(not stop.lifted for stop in self.stops)

    @property
    def suspended(self) -> bool:
        return self.late or any(not ended for _, ended in self.suspensions)

    def borrowing_bar(self) -> str | None:
        """In the order in which an advance is refused."""
        bars = {"card-stopped": self.stopped, "card-locked": self.locked, "borrowing-suspended": self.suspended}
        return next((code for code, bars_now in bars.items() if bars_now), None)

    def locks(self) -> tuple[str, ...]:
        codes = [stop.reason for stop in self.stops if not stop.lifted]
        codes += [reason for reason, ended in self.suspensions if not ended]
        flags = {"card-locked": self.locked, "late": self.late, "repeated-lateness": self.often_late,
                 "web-login-locked": self.web_locked}  # fmt: skip
        return tuple(sorted(codes + [code for code, stands in flags.items() if stands]))

    # Sessions ---------------------------------------------------------------------------------------------------------

    def open_session(self, channel: str, now: datetime) -> None:
        self.sessions.append(SessionModel(channel, now, now))

    def end_sessions(self) -> None:
        for session in self.sessions:
            session.alive = False

    def enter(self, number: int, now: datetime) -> SessionModel | None:
        """The session, if it is still good: it lives on from its use."""
        session = self.sessions[number]
        idle, ends = session.used + MINUTE * self.policy.session_idle_minutes, session.opened
        if not session.alive or now >= idle or now >= ends + MINUTE * self.policy.session_minutes:
            return None
        session.used = now
        return session

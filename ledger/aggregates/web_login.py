"""Web-ID and password of a member: attempts, waits, the web lock and the mailed reset.

What must stay true: failures here close the web login alone and nothing here opens a card: a password reset leaves
locks and stops of the card as they are, and a new PIN leaves the web lock as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from ledger import refusals, remedies
from ledger.aggregates.access import Access, VerdictStale, to_be_noted
from ledger.aggregates.fact import Aggregate, Fact
from ledger.refusals import Refusal
from ledger.terms import Terms

MAIL_WINDOW = timedelta(hours=1)
ONE_SECOND = timedelta(seconds=1)


@dataclass(slots=True)
class WebLogin:
    """What the facts of a member say about the web login. Plain values only: a read model stores it as JSON.

    `generation` counts the passwords there have been, 0 before the first Web-ID; `resets` are the tokens mailed out and
    neither spent nor replaced, with the time they expire at; `mailed` the mails of the last hour.
    """

    generation: int = 0
    failures: int = 0
    wait_until: datetime | None = None
    locked_since: datetime | None = None
    refusal_noted_at: datetime | None = None
    mailed: tuple[datetime, ...] = ()
    resets: dict[UUID, datetime] = field(default_factory=dict)

    @property
    def registered(self) -> bool:
        return self.generation > 0

    @property
    def locked(self) -> bool:
        return self.locked_since is not None

    def bar(self, at: datetime) -> Refusal | None:
        """What every attempt runs into, whatever the password."""
        if self.locked:
            return refusals.WebLoginLocked()
        if self.wait_until is not None and at < self.wait_until:
            return refusals.LoginWait(retry_after=-((at - self.wait_until) // ONE_SECOND))
        return None

    def begin_generation(self, generation: int) -> None:
        """A new password: earlier failures, waits, the lock and outstanding reset mails are of the past."""
        self.generation, self.failures = generation, 0
        self.wait_until = self.locked_since = None
        self.resets = {}


def right_password_bar(access: Access | None, terms: Terms) -> Refusal | None:
    """What a right password runs into: the state of the member's card, if there is one."""
    return None if access is None else access.login_bar(lock_counts=terms.lock.pin_lock_blocks_web)


# Facts ----------------------------------------------------------------------------------------------------------------


class WebIdRegistered(Fact, topic="member.web-id-registered"):
    notice = "web-id-registered"

    generation: int
    replaces: bool

    @property
    def ends_sessions(self) -> bool:
        return self.replaces

    def evolve(self, member: MemberWebLogin, at: datetime) -> None:
        member.web.begin_generation(self.generation)


class LoginSucceeded(Fact, topic="member.login-succeeded"):
    attempt_id: UUID
    generation: int

    def evolve(self, member: MemberWebLogin, at: datetime) -> None:
        member.web.failures, member.web.wait_until = 0, None


class LoginFailed(Fact, topic="member.login-failed"):
    """A wrong password, with the failures in a row as they stand with it and the wait it brings."""

    attempt_id: UUID
    generation: int
    failures: int
    wait_seconds: int
    terms_version: str

    def evolve(self, member: MemberWebLogin, at: datetime) -> None:
        member.web.failures = self.failures
        member.web.wait_until = at + timedelta(seconds=self.wait_seconds) if self.wait_seconds else None


class LoginRefused(Fact, topic="member.login-refused"):
    """The right password while the card bars the login; `code` is what was answered."""

    attempt_id: UUID
    code: str

    def evolve(self, member: MemberWebLogin, at: datetime) -> None:
        member.web.refusal_noted_at = at


class WebLoginLocked(Fact, topic="member.web-login-locked"):
    notice = "web-login-locked"

    generation: int
    terms_version: str

    def evolve(self, member: MemberWebLogin, at: datetime) -> None:
        member.web.locked_since = at


class PasswordResetRequested(Fact, topic="member.password-reset-requested"):
    """A mail goes out. `reset_id` stands for its token, which only the mail holds; `in_hour` counts this mail too."""

    reset_id: UUID
    expires_at: datetime
    in_hour: int
    terms_version: str

    def evolve(self, member: MemberWebLogin, at: datetime) -> None:
        web = member.web
        web.mailed = (*web.mailed, at)[-self.in_hour :]
        web.resets = {key: expires_at for key, expires_at in web.resets.items() if at < expires_at}
        web.resets[self.reset_id] = self.expires_at


class PasswordReset(Fact, topic="member.password-reset"):
    ends_sessions = True
    notice = "password-changed"

    reset_id: UUID
    generation: int

    def evolve(self, member: MemberWebLogin, at: datetime) -> None:
        member.web.begin_generation(self.generation)


# Acts -----------------------------------------------------------------------------------------------------------------


class MemberWebLogin(Aggregate):
    """The part of a member that logs in by Web-ID and password."""

    web: WebLogin

    def begin(self) -> None:
        self.web = WebLogin()

    def refuse_if_web_locked(self) -> None:
        if self.web.locked:
            raise refusals.WebLoginLocked

    def refuse_if_waiting(self) -> None:
        bar = self.web.bar(self.at)
        if isinstance(bar, refusals.LoginWait):
            raise bar

    def register_web_id(self, *, refused: bool) -> int:
        """Give the member a Web-ID and password; returns the generation to keep the verifier under.

        Whether the Web-ID is taken is found by the store; `refused` is the finding on the password.
        """
        if refused:
            raise refusals.PasswordRefused
        generation = self.web.generation + 1
        self.record(WebIdRegistered(generation=generation, replaces=self.web.registered))
        return generation

    def decide_password_attempt(
        self, *, attempt_id: UUID, right: bool, generation: int, access: Access | None, terms: Terms
    ) -> Refusal | None:
        """Decide on the verdict of a hash made for `generation`; None lets the member in.

        `access` is that of the member's card, None for a member without one. A refusal is returned, not raised, since
        its facts must be committed with it.
        """
        bar = self.web.bar(self.at)
        if bar is not None:
            return bar
        if generation != self.web.generation:
            raise VerdictStale
        if not right:
            return self._count_failure(attempt_id, terms)
        bar = right_password_bar(access, terms)
        if bar is None:
            self.record(LoginSucceeded(attempt_id=attempt_id, generation=generation))
        elif to_be_noted(self.web.refusal_noted_at, self.at):
            self.record(LoginRefused(attempt_id=attempt_id, code=bar.code))
        return bar

    def _count_failure(self, attempt_id: UUID, terms: Terms) -> Refusal:
        generation, failures = self.web.generation, self.web.failures + 1
        locks = failures >= terms.lock.password_max_failures
        self.record(
            LoginFailed(
                attempt_id=attempt_id,
                generation=generation,
                failures=failures,
                wait_seconds=0 if locks else wait_seconds(failures, terms),
                terms_version=terms.version,
            )
        )
        if not locks:
            return refusals.BadCredentials(remedy=remedies.RESET_PASSWORD)
        self.record(WebLoginLocked(generation=generation, terms_version=terms.version))
        return refusals.WebLoginLocked()

    def request_password_reset(self, *, terms: Terms) -> UUID | None:
        """Let a mail go out: the id that stands for its token, or None if none may (no Web-ID, too many this hour)."""
        in_hour = 1 + sum(self.at - mailed_at < MAIL_WINDOW for mailed_at in self.web.mailed)
        if not self.web.registered or in_hour > terms.reset_mails_per_hour:
            return None
        reset_id = self.new_id("password-reset")
        self.record(
            PasswordResetRequested(
                reset_id=reset_id,
                expires_at=self.at + timedelta(minutes=terms.reset_token_minutes),
                in_hour=in_hour,
                terms_version=terms.version,
            )
        )
        return reset_id

    def reset_password(self, *, reset_id: UUID, refused: bool) -> int:
        """Spend a mailed token on a new password; returns the generation to keep its verifier under.

        A password that is refused leaves the token unspent.
        """
        expires_at = self.web.resets.get(reset_id)
        if expires_at is None or self.at >= expires_at:
            raise refusals.ResetTokenSpent
        if refused:
            raise refusals.PasswordRefused
        generation = self.web.generation + 1
        self.record(PasswordReset(reset_id=reset_id, generation=generation))
        return generation


def wait_seconds(failures: int, terms: Terms) -> int:
    """How long the web login waits after this many failures in a row."""
    step = failures - terms.lock.password_waits_from
    waits = terms.lock.password_waits_seconds
    return 0 if step < 0 else waits[min(step, len(waits) - 1)]

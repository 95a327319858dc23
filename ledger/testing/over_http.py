"""The driver of a running service: any sandbox deployment, reached as its clients reach it.

What must stay true: it knows nothing but the HTTP contract, so that it can be pointed at a service of any making.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Self
from uuid import uuid4

from ledger.calendar import JST, ONE_DAY, business_day
from ledger.faults import EnvironmentFault
from ledger.testing import acts
from ledger.testing.acts import OK, Act, Opening, Outcome
from ledger.testing.driver import Seen
from ledger.testing.http_client import Answered, Client
from ledger.testing.made_up import Secrets, profile

ROLES: Final = (
    "counter", "contract-machine", "atm", "app", "service", "call-centre", "credit", "second-credit", "operator",
)  # fmt: skip
"""The tokens that are needed; `second-credit` is one of the role `credit` for another person."""

NINE: Final = time(9)
STALE_MINUTES: Final = 16


def name_of(role: str) -> str:
    """The name of a role's token in scripts: `SECOND_CREDIT`."""
    return role.upper().replace("-", "_")


class OverHttp:
    """A sandbox at a URL, with a token for each of `ROLES`."""

    past_the_door = False
    time_is_free = False
    closes_days = False

    def __init__(self, url: str, tokens: Mapping[str, str]) -> None:
        self._tokens = {name_of(role): token for role, token in tokens.items()}
        self._client = Client(url.rstrip("/"), dict(self._tokens))
        self._acts = 0

    def refuse_unfit(self) -> None:
        """Raise EnvironmentFault where no sandbox answers, or the operator's token is none."""
        answered = self._client.quietly("GET", "/v1/sandbox/clock", by="OPERATOR")
        if answered.status in (401, 403):
            raise EnvironmentFault("The operator's token is not accepted.", "Issue one with `cardledger token`.")
        if answered.status != 200 or "now" not in answered.body:
            raise EnvironmentFault(f"{self._client.url} is no sandbox.", "Serve one with `cardledger serve --sandbox`.")

    # The interface ----------------------------------------------------------------------------------------------------

    def begin(self, opening: Opening) -> datetime:
        """At nine o'clock of the next day: the clock is everybody's and does not go back."""
        self._secrets = Secrets()
        self._client.names = dict(self._tokens)
        self._client.lines = []
        self._reads: list[str] = []
        self._made = {"SESSION": 0, "MAIL": 0, "STOP": 0, "SUSPENSION": 0, "ADVANCE": 0, "REPAYMENT": 0}
        self._acts = 0
        starts = self._wake()
        self._take_member(opening)
        return starts

    def _wake(self) -> datetime:
        tomorrow = business_day(self._now()) + ONE_DAY
        starts = datetime.combine(tomorrow, NINE, JST)
        self._expect(self._client.quietly("PUT", "/v1/sandbox/clock", {"now": starts.isoformat()}, by="OPERATOR"))
        return starts

    def _take_member(self, opening: Opening) -> None:
        ask = self._client.ask
        self._client.names["WHO"] = f"t{uuid4().hex[:20]}"
        person = profile("$WHO", interest_free=opening.interest_free, payout_account=opening.payout_account)
        self._expect(ask("POST", "/v1/members", person, by="COUNTER", saved={"MEMBER": "member_id"}))
        card = {
            "pin": self._secrets.first_pin,
            "credit_limit": opening.credit_limit,
            "annual_rate_bps": opening.annual_rate_bps,
            "due_day": opening.due_day,
        }
        saved = {"CARD": "card_id", "NUMBER": "card_number"}
        self._expect(ask("POST", "/v1/members/$MEMBER/cards", card, by="COUNTER", saved=saved))
        self._secrets.has_card(self._client.names["NUMBER"])
        web = {"web_id": "$WHO", "password": self._secrets.first_password}
        self._expect(ask("PUT", "/v1/members/$MEMBER/web-credentials", web, by="COUNTER"))

    def perform(self, act: Act) -> Outcome:
        self._acts += 1
        self._client.lines.append(f"# {self._acts}. {act}")
        outcome: Outcome = getattr(self, act.word)(act)
        self._client.lines.append(f"#    -> {outcome}")
        return outcome

    def see(self) -> Seen:
        before = len(self._client.lines)
        balance, lockout = self._read("balance"), self._read("lockout")
        self._reads = self._client.lines[before:]
        del self._client.lines[before:]
        due = balance["next_due"]
        figures = {name: balance[name] for name in (
            "principal", "interest", "late_damages", "available_credit", "customer_credit", "minimum_instalment",
            "days_late",
        )}  # fmt: skip
        return Seen(
            **figures,
            next_due=None if due is None else date.fromisoformat(due),
            can_log_in_card=lockout["can_log_in"]["card"],
            can_log_in_web=lockout["can_log_in"]["web"],
            can_borrow=lockout["can_borrow"],
            pin_failures=lockout["pin_failures"],
            web_failures=lockout["web_failures"],
            locks=tuple(sorted(lock["code"] for lock in lockout["locks"])),
        )

    def end(self) -> None:
        """What contradicts itself here is for the auditor's tools to find."""

    def fork(self) -> Self:
        raise NotImplementedError("a service goes on in one way")

    def script(self) -> str:
        self._client.lines += self._reads
        return self._client.script()

    # Logging in -------------------------------------------------------------------------------------------------------

    def try_pin(self, act: acts.TryPin) -> Outcome:
        body = {"route": "card", "card_number": "$NUMBER", "pin": self._secrets.pin(act.typed)}
        return self._log_in(body, {"atm": "ATM", "app": "APP"}.get(act.at))

    def try_password(self, act: acts.TryPassword) -> Outcome:
        return self._log_in({"route": "web", "web_id": "$WHO", "password": self._secrets.password(act.typed)}, None)

    def _log_in(self, body: Mapping[str, str], by: str | None) -> Outcome:
        return self._post("/v1/sessions", body, by, made="SESSION", told="token", fields=("outcome", "tries_left"))

    def use_session(self, act: acts.UseSession) -> Outcome:
        answered = self._client.ask("GET", "/v1/sessions", by=f"SESSION_{act.session}")
        return Outcome(answered.code)

    # Secrets ----------------------------------------------------------------------------------------------------------

    def reset_pin(self, act: acts.ResetPin) -> Outcome:
        pin, minutes = self._secrets.new_pin(act.new), -STALE_MINUTES if act.document == "stale" else 0
        self._client.lines.append(f"SEEN=$(later {minutes})")
        self._client.names["SEEN"] = (self._now() + timedelta(minutes=minutes)).isoformat()
        document = {"kind": "diary" if act.document == "unknown" else "passport", "verified_at": "$SEEN"}
        body = {"new_pin": pin, "identity_document": document}
        outcome = self._post("/v1/cards/$CARD/pin-resets", body, name_of(act.by))
        if outcome.code == "ok":
            self._secrets.pin_is_set(pin)
        return outcome

    def mail_reset(self, _: acts.MailReset) -> Outcome:
        outcome = self._post("/v1/members/$MEMBER/password-reset-mails", {}, "COUNTER")
        outbox = self._expect(self._client.quietly("GET", "/v1/sandbox/outbox", by="OPERATOR"))["data"]
        known, member = self._client.names.values(), self._client.names["MEMBER"]
        mine = [mail["token"] for mail in outbox if mail["member_id"] == member and "token" in mail]
        fresh = [token for token in mine if token not in known]
        for token in fresh:
            name = self._new("MAIL")
            self._client.names[name] = token
            self._client.lines.append(f"# {name}: the token of the newest mail in the outbox")
        return Outcome(outcome.code, {"mailed": bool(fresh)})

    def complete_reset(self, act: acts.CompleteReset) -> Outcome:
        body = {"token": f"$MAIL_{act.mail}", "new_password": self._secrets.new_password(act.new)}
        outcome = self._post("/v1/password-resets/completions", body, None)
        if outcome.code == "ok":
            self._secrets.password_is_set()
        return outcome

    # Stops and suspensions --------------------------------------------------------------------------------------------

    def stop_card(self, act: acts.StopCard) -> Outcome:
        return self._post("/v1/cards/$CARD/stops", {"reason": act.reason}, "CREDIT", made="STOP", told="stop_id")

    def request_lifting(self, act: acts.RequestLifting) -> Outcome:
        path = f"/v1/cards/$CARD/stops/$STOP_{act.stop}/lifting-requests"
        return self._post(path, {"check_ref": "check"}, name_of(act.by))

    def approve_lifting(self, act: acts.ApproveLifting) -> Outcome:
        return self._post(f"/v1/cards/$CARD/stops/$STOP_{act.stop}/lifting-approvals", {}, name_of(act.by))

    def suspend(self, act: acts.Suspend) -> Outcome:
        made, told = "SUSPENSION", "suspension_id"
        return self._post("/v1/cards/$CARD/suspensions", {"reason": act.reason}, "CREDIT", made=made, told=told)

    def resume(self, act: acts.Resume) -> Outcome:
        path = f"/v1/cards/$CARD/suspensions/$SUSPENSION_{act.suspension}/resumptions"
        return self._post(path, {"check_ref": "check"}, "CREDIT")

    # Time -------------------------------------------------------------------------------------------------------------

    def wait(self, act: acts.Wait) -> Outcome:
        self._client.lines.append(f"LATER=$(later {act.minutes})")
        self._client.names["LATER"] = (self._now() + timedelta(minutes=act.minutes)).isoformat()
        answered = self._client.ask("PUT", "/v1/sandbox/clock", {"now": "$LATER"}, by="OPERATOR")
        return OK if answered.status == 200 else Outcome(answered.code)

    # Money ------------------------------------------------------------------------------------------------------------

    def draw(self, act: acts.Draw) -> Outcome:
        body = {"amount": act.amount, "purpose": act.purpose}
        return self._post("/v1/cards/$CARD/advances", body, f"SESSION_{act.session}", made="ADVANCE",
                          told="advance_id", fields=("state", "available_credit"))  # fmt: skip

    def confirm(self, act: acts.Confirm) -> Outcome:
        return self._on_advance(act.advance, "confirmations")

    def fail(self, act: acts.Fail) -> Outcome:
        return self._on_advance(act.advance, "failures")

    def reverse_advance(self, act: acts.ReverseAdvance) -> Outcome:
        return self._on_advance(act.advance, "reversals")

    def _on_advance(self, number: int, what: str) -> Outcome:
        path = f"/v1/cards/$CARD/advances/$ADVANCE_{number}/{what}"
        return self._post(path, {}, "SERVICE", fields=("state", "available_credit"))

    def repay(self, act: acts.Repay) -> Outcome:
        role = {"atm": "ATM", "counter": "COUNTER"}.get(act.method, "SERVICE")
        by = role if act.session is None else f"SESSION_{act.session}"
        return self._post("/v1/cards/$CARD/repayments", {"amount": act.amount, "method": act.method}, by,
                          made="REPAYMENT", told="repayment_id",
                          fields=("allocation", "principal_after", "instalment", "next_due"))  # fmt: skip

    def reverse_repayment(self, act: acts.ReverseRepayment) -> Outcome:
        path = f"/v1/cards/$CARD/repayments/$REPAYMENT_{act.repayment}/reversals"
        return self._post(path, {}, "SERVICE", fields=("principal_after",))

    # In between -------------------------------------------------------------------------------------------------------

    def _post(
        self,
        path: str,
        body: Mapping[str, Any],
        by: str | None,
        *,
        made: str | None = None,
        told: str = "",
        fields: tuple[str, ...] = (),
    ) -> Outcome:
        """Post; where it made something, keep what the answer tells of it under the next name."""
        name = f"{made}_{self._made[made]}" if made else ""
        answered = self._client.ask("POST", path, body, by=by, saved={name: told} if made else {})
        if made and answered.status < 300:
            self._new(made)
        known = ("available_credit", *fields)
        return Outcome(answered.code, {each: answered.body[each] for each in known if each in answered.body})

    def _read(self, what: str) -> dict[str, Any]:
        answered = self._client.ask("GET", f"/v1/cards/$CARD/{what}", by="COUNTER")
        assert answered.status == 200, f"reading the {what} was answered {answered.status} {answered.code}"
        return answered.body

    def _new(self, kind: str) -> str:
        name = f"{kind}_{self._made[kind]}"
        self._made[kind] += 1
        return name

    def _now(self) -> datetime:
        told = self._expect(self._client.quietly("GET", "/v1/sandbox/clock", by="OPERATOR"))["now"]
        return datetime.fromisoformat(told.replace("Z", "+00:00")).astimezone(UTC)

    def _expect(self, answered: Answered) -> dict[str, Any]:
        """The body of an answer that must be one of success; raises EnvironmentFault."""
        if answered.status >= 300:
            raise EnvironmentFault(
                f"{self._client.url} answered {answered.status} {answered.code} where nothing can go wrong.",
                "Is it a sandbox, and are the tokens of their roles?",
            )
        return answered.body

"""What anybody may ask: the repayment simulator and the help for a login that fails.

What must stay true: neither reads any member's state.
"""

from __future__ import annotations

from dataclasses import asdict

from pydantic import BaseModel

from api.answers import LoginHelp, SimulationResult
from api.bodies import AmountAsked, PaymentAsked, Simulation, TermAsked
from api.exchange import Exchange, Reply
from api.operation import Operation
from api.problems import remedy_members
from ledger import simulation
from ledger.login_help import LOGIN_CHECKS

TAG = "public"
NOTE = {
    "en": "Months of one twelfth of a year. The ledger counts days, so the figures of a real account differ a little.",
    "ja": "1か月を1年の12分の1として計算しています。実際の利息は日割りのため、金額が多少異なります。",
}


async def simulate(exchange: Exchange) -> Reply:
    assert exchange.body is not None
    return Reply.plain({**asdict(simulated(exchange.body)), "note": NOTE[exchange.language]})


def simulated(asked: BaseModel) -> simulation.Simulation:
    """The schedule for one of the three questions; raises SimulationImpossible."""
    match asked:
        case PaymentAsked(principal=principal, annual_rate_bps=rate, months=months):
            return simulation.simulate_payment(principal=principal, annual_rate_bps=rate, months=months)
        case TermAsked(principal=principal, annual_rate_bps=rate, payment=payment):
            return simulation.simulate_term(principal=principal, annual_rate_bps=rate, payment=payment)
        case AmountAsked(payment=payment, annual_rate_bps=rate, months=months):
            return simulation.simulate_amount(payment=payment, annual_rate_bps=rate, months=months)
    raise AssertionError(type(asked))


async def read_login_help(exchange: Exchange) -> Reply:
    return Reply.plain({
        "data": [
            {"code": check.code, "en": check.en, "ja": check.ja,
             "remedy": remedy_members(check.remedy, exchange.language)}
            for check in LOGIN_CHECKS
        ]
    })  # fmt: skip


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/simulations",
        operation_id="simulateRepayment",
        summary="Simulate a repayment",
        description="The payment, the term or the amount from the other two.",
        tag=TAG,
        permission="anybody",
        handler=simulate,
        body=Simulation,
        answer=SimulationResult,
        refusals=("simulation-impossible",),
    ),
    Operation(
        method="GET",
        path="/v1/login-help",
        operation_id="readLoginHelp",
        summary="Read what to check when login fails",
        tag=TAG,
        permission="anybody",
        handler=read_login_help,
        answer=LoginHelp,
    ),
)

"""What was refused to a card or a member, for auditors: "why was I refused on 3 May".

What must stay true: each refusal is told with the state that it saw, in the words that its caller was told.
"""

from __future__ import annotations

from dataclasses import replace

from api.audit_answers import RefusedActs
from api.cursors import opened
from api.exchange import Exchange, Reply
from api.operation import THE_LOG, Operation
from api.ports import fitted
from api.problems import worded
from api.reading import AS_OF, PAGING, day_parameter, page_reply, refuse_backward

DAYS = (day_parameter("from", "The first business day."), day_parameter("to", "The last business day."))


async def read_refusals(exchange: Exchange) -> Reply:
    query = exchange.query
    refuse_backward(query, "from", "to")
    ((named, stream),) = exchange.ids.items()
    found = await fitted(exchange.services.refused_acts).refusals(
        stream,
        named.removesuffix("_id"),
        since=query["from"],
        until=query["to"],
        as_of=query["as_of"],
        after=opened(exchange),
        limit=query["limit"],
        language=exchange.language,
    )
    return page_reply(exchange, replace(found, rows=worded(found.rows, exchange.language)))


def _row(path: str, operation_id: str, summary: str) -> Operation:
    return Operation(
        method="GET",
        path=path,
        operation_id=operation_id,
        summary=summary,
        description="Newest first, each with the state that it saw. The same refusal of the same caller on the same "
        "day and state is one row, and `times` counts it. Failed logins are facts of the log instead.",
        tag="audit",
        permission="audit",
        handler=read_refusals,
        query=(*DAYS, AS_OF, *PAGING),
        answer=RefusedActs,
        reads=THE_LOG,
        refusals=("before-first-event", "position-unknown"),
    )


OPERATIONS = (
    _row("/v1/cards/{card_id}/refusals", "readCardRefusals", "Read what was refused on a card"),
    _row("/v1/members/{member_id}/refusals", "readMemberRefusals", "Read what was refused to a member"),
)

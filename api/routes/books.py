"""The double-entry books, what auditors have read, and the state of the read models.

What must stay true: these are read from the same projections that the tests re-add; nothing is summed here.
"""

from __future__ import annotations

from api.audit_answers import JournalLines, ReadsOnRecord, TrialBalance
from api.cursors import opened
from api.exchange import Exchange, Reply
from api.operation import THE_LOG, Operation
from api.ports import fitted
from api.read_answers import Projections
from api.reading import AS_OF, PAGING, page_reply
from ledger.instruction import Answer

TAG = "audit"


async def read_journal(exchange: Exchange) -> Reply:
    books, query = fitted(exchange.services.books), exchange.query
    return page_reply(exchange, await books.journal(opened(exchange), query["as_of"], query["limit"]))


async def read_trial_balance(exchange: Exchange) -> Answer:
    return await fitted(exchange.services.books).trial_balance(exchange.query["as_of"])


async def read_access_log(exchange: Exchange) -> Reply:
    access_log, limit = fitted(exchange.services.access_log), exchange.query["limit"]
    return page_reply(exchange, await access_log.access_log(opened(exchange), limit))


async def read_projections(exchange: Exchange) -> Answer:
    return await exchange.services.projections.projections()


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/journal",
        operation_id="readJournal",
        summary="Read the journal, oldest first",
        tag=TAG,
        permission="audit",
        handler=read_journal,
        description="One row is one line of double entry. All pages end where the first one stood.",
        query=(AS_OF, *PAGING),
        answer=JournalLines,
        reads="journal",
        refusals=("before-first-event", "position-unknown"),
    ),
    Operation(
        method="GET",
        path="/v1/trial-balance",
        operation_id="readTrialBalance",
        summary="Read the trial balance",
        tag=TAG,
        permission="audit",
        handler=read_trial_balance,
        query=(AS_OF,),
        answer=TrialBalance,
        reads="journal",
        refusals=("before-first-event", "position-unknown"),
    ),
    Operation(
        method="GET",
        path="/v1/access-log",
        operation_id="readAccessLog",
        summary="Read what auditors have read, newest first",
        description="Every read of an auditor is put on record before it is answered, this one too.",
        tag=TAG,
        permission="audit",
        handler=read_access_log,
        query=PAGING,
        answer=ReadsOnRecord,
        reads=THE_LOG,
    ),
    Operation(
        method="GET",
        path="/v1/projections",
        operation_id="readProjections",
        summary="Read how far the read models are",
        tag="operation",
        permission="read projections",
        handler=read_projections,
        answer=Projections,
        reads=THE_LOG,
    ),
)

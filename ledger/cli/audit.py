"""`replay`, `explain`, `audit verify`, `audit refusals`, `journal export`: what an auditor runs beside the service.

What must stay true: nothing is written but that it was read. Exit codes: 0 nothing found, 1 a finding, 3 it cannot be
decided.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from ledger.cli.options import Data, DatabaseUrl, Json, Sandbox, chosen, show
from ledger.cli.reading import CANNOT_DECIDE, day, identifier, moment, with_log

if TYPE_CHECKING:
    from ledger.audit.fold import Finding
    from ledger.audit.recompute import Recomputed
    from ledger.audit.replay import Replay
    from ledger.settings import Settings
    from ledger.store.pages import Connection

audit = typer.Typer(help="Checks of what is stored against the log.", no_args_is_help=True)
journal = typer.Typer(help="The double-entry books.", no_args_is_help=True)
AsOf = Annotated[str | None, typer.Option("--as-of", help="A position, or an RFC 3339 instant. [default: the head]")]
Recompute = Annotated[bool, typer.Option("--recompute", help="Decide every act again and compare what comes out.")]
Processes = Annotated[int, typer.Option("--processes", min=1, max=64, help="Processes that --recompute spreads over.")]


class JournalFormat(StrEnum):
    """The programs that the journal is written for."""

    HLEDGER = "hledger"
    BEANCOUNT = "beancount"


class Language(StrEnum):
    JA = "ja"
    EN = "en"


class Figure(StrEnum):
    PRINCIPAL = "principal"
    INTEREST = "interest"
    LATE_DAMAGES = "late_damages"
    FEES = "fees"
    AVAILABLE_CREDIT = "available_credit"
    NEXT_DUE = "next_due"
    LOCKOUT = "lockout"


def join(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(replay)
    app.command()(explain)
    app.add_typer(audit, name="audit")
    app.add_typer(journal, name="journal")


def replay(
    stream: Annotated[str | None, typer.Argument(help="Id of a card or a member. [default: everything]")] = None,
    as_of: AsOf = None,
    recompute: Recompute = False,
    processes: Processes = 1,
    data: Data = None,
    database_url: DatabaseUrl = None,
    sandbox: Sandbox = False,
    as_json: Json = False,
) -> None:
    """Fold the log, or one stream of it, as it was; with --recompute decide its acts again."""
    wanted, then = identifier(stream), moment(as_of)
    settings = chosen(data, database_url, sandbox=sandbox)

    async def run(connection: Connection, reader: Replay) -> int:
        from ledger.refusals import NotFound

        until = await reader.head() if then is None else await reader.position_of(then)
        if wanted is not None and not await reader.exists(wanted):
            raise NotFound
        if recompute:
            return _tell_recomputed(await _recomputed(connection, settings, until, processes, wanted), as_json)
        if wanted is not None:
            return await _tell_stream(reader, wanted, until)
        return await _tell_everything(connection, until, as_json)

    raise typer.Exit(with_log(settings, run, "replay", stream=wanted, as_of=as_of, recompute=recompute))


async def _tell_stream(reader: Replay, stream: UUID, until: int) -> int:
    import msgspec

    from ledger.aggregates.card import Card
    from ledger.aggregates.fact import Aggregate
    from ledger.aggregates.member import Member
    from ledger.refusals import NotFound

    found = await reader.aggregate(Aggregate, stream, until)
    if not isinstance(found, Card | Member):
        raise NotFound
    names = ("access", "account") if isinstance(found, Card) else ("web", "limit_requests", "sealed")
    state = {name: msgspec.to_builtins(getattr(found, name)) for name in names}
    whole = {"stream": str(stream), "position": until, "version": found.version, **state}
    typer.echo(json.dumps(whole, ensure_ascii=False, indent=2, default=str))
    return 0


async def _tell_everything(connection: Connection, until: int, as_json: bool) -> int:
    from ledger.audit.fold import LogFold, pages, whole_act

    fold = await LogFold.of_the_log(connection, until)
    async for events in pages(connection, until):
        fold.take(events)
    if await whole_act(connection, until) == until:
        fold.findings.extend(fold.compare_books())
    rows = [{"account": account, "balance": balance} for account, balance in sorted(fold.totals.items())]
    if as_json:
        found = [asdict(finding) for finding in fold.findings]
        whole = {"position": fold.position, "streams": len(fold.versions), "cards": len(fold.cards)}
        typer.echo(json.dumps({**whole, "accounts": rows, "findings": found}, default=str, ensure_ascii=False))
    else:
        typer.echo(f"position {fold.position}: {len(fold.versions)} streams, {len(fold.cards)} cards")
        show(rows, as_json=False)
        _show_findings(fold.findings)
    return 1 if fold.findings else 0


@audit.command()
def verify(
    recompute: Recompute = False,
    processes: Processes = 1,
    data: Data = None,
    database_url: DatabaseUrl = None,
    sandbox: Sandbox = False,
    as_json: Json = False,
) -> None:
    """Replay the log into shadow tables and compare every read model with them, row by row; check log and books."""
    settings = chosen(data, database_url, sandbox=sandbox)

    async def run(connection: Connection, _: Replay) -> int:
        from ledger.audit.drift import verify as compare
        from ledger.projections.projector import READ_MODELS

        done = await compare(connection, READ_MODELS)
        again = await _recomputed(connection, settings, done.position, processes) if recompute else None
        findings = [*done.findings, *(again.findings if again else ())]
        if as_json:
            whole = {
                "position": done.position,
                "rows": done.rows,
                "kept_states": done.kept_states,
                "unreadable_at": done.unreadable_at,
            }
            told = {**whole, "findings": findings, "recomputed": again}
            typer.echo(json.dumps(told, default=_plain, ensure_ascii=False))
        else:
            rows = ", ".join(f"{name} {count}" for name, count in done.rows.items())
            typer.echo(f"replayed to position {done.position}; rows compared: {rows}, kept states {done.kept_states}")
            if done.unreadable_at is not None:
                typer.echo(f"the event at position {done.unreadable_at} cannot be read: nothing is known behind it")
            if again is not None:
                typer.echo(_summary(again))
            _show_findings([*findings, *(again.undecided if again else ())])
        if findings:
            return 1
        return CANNOT_DECIDE if done.unreadable_at is not None or (again is not None and again.undecided) else 0

    raise typer.Exit(with_log(settings, run, "audit verify", recompute=recompute))


@audit.command()
def refusals(
    card: Annotated[str, typer.Argument(help="Id of the card, or of a member.")],
    since: Annotated[date | None, day("--since", "The first business day.")] = None,
    until: Annotated[date | None, day("--until", "The last business day.")] = None,
    as_of: AsOf = None,
    language: Annotated[Language, typer.Option("--language", help="Of what the caller was told.")] = Language.JA,
    data: Data = None,
    database_url: DatabaseUrl = None,
    sandbox: Sandbox = False,
    as_json: Json = False,
) -> None:
    """List what was refused, newest first, each with the state that it saw and the position of that state."""
    stream, then = identifier(card), moment(as_of)
    assert stream is not None
    if since is not None and until is not None and since > until:
        raise typer.BadParameter("the last day lies before the first", param_hint="--until")

    async def run(_: Connection, reader: Replay) -> int:
        from ledger.audit.refused_acts import RefusedActs
        from ledger.refusals import NotFound

        if not (await reader.exists(stream, "card") or await reader.exists(stream, "member")):
            raise NotFound
        instant = await reader.now()
        if then is not None:
            instant = await reader.instant_of(then, await reader.position_of(then))
        acts = RefusedActs(reader.pool).every(stream, until=instant, since=since, to=until)
        told = [act.told(language.value) async for act in acts]
        show(told if as_json else map(_refused, told), as_json=as_json)
        return 0

    asked = {"card": stream, "since": since, "until": until, "as_of": as_of}
    raise typer.Exit(with_log(chosen(data, database_url, sandbox=sandbox), run, "audit refusals", **asked))


def _refused(row: dict[str, Any]) -> dict[str, Any]:
    """A refusal as a line of a table."""
    card = row["seen"].get("card") or {}
    names = ("refused_at", "times", "operation", "role", "code", "seen_position")
    seen = {name: card.get(name) for name in ("available_credit", "principal", "locked", "stops", "suspensions")}
    return {**{name: row.get(name) for name in names}, **seen, "sentence": row["sentence"]}


def explain(
    card: Annotated[str, typer.Argument(help="Id of the card.")],
    of: Annotated[Figure, typer.Option("--of", help="The figure to be explained.")],
    as_of: AsOf = None,
    language: Annotated[Language, typer.Option("--language", help="Of the text to be read out.")] = Language.JA,
    data: Data = None,
    database_url: DatabaseUrl = None,
    sandbox: Sandbox = False,
    as_json: Json = False,
) -> None:
    """Say why a figure of a card is what it is: the events that make it, each with its calculation."""
    card_id, then = identifier(card), moment(as_of)
    assert card_id is not None
    settings = chosen(data, database_url, sandbox=sandbox)

    async def run(_: Connection, reader: Replay) -> int:
        from ledger.audit.explainer import Explainer
        from ledger.audit.spoken import spoken
        from ledger.terms import TermsBook

        explainer = Explainer(reader, TermsBook.load(settings.terms))
        found = await explainer.explain(card_id, of.value, then, role="auditor")
        text = spoken(found, language.value)
        whole = found.as_json()
        if as_json:
            typer.echo(json.dumps({**whole, "spoken": text}, ensure_ascii=False, default=str))
            return 0
        rows = [{**line, "calculation": json.dumps(line["calculation"], ensure_ascii=False)} for line in whole["lines"]]
        typer.echo(f"{found.of} {found.figure} on {found.value_date}, position {found.position}")
        show(rows, as_json=False)
        typer.echo(text)
        return 0

    raise typer.Exit(with_log(settings, run, "explain", card=card_id, of=of.value, as_of=as_of))


@journal.command()
def export(
    form: Annotated[JournalFormat, typer.Option("--format", help="The program that shall read it.")],
    data: Data = None,
    database_url: DatabaseUrl = None,
    sandbox: Sandbox = False,
) -> None:
    """Write the journal to standard output, complete to the head of this moment, with balance assertions."""

    async def run(connection: Connection, reader: Replay) -> int:
        from ledger.audit.export import FORMATS
        from ledger.audit.export import export as written

        async for text in written(connection, FORMATS[form.value](), await reader.head()):
            sys.stdout.write(text)
        sys.stdout.flush()
        return 0

    raise typer.Exit(with_log(chosen(data, database_url, sandbox=sandbox), run, "journal export", format=form.value))


async def _recomputed(
    connection: Connection, settings: Settings, until: int, processes: int, stream: UUID | None = None
) -> Recomputed:
    from ledger.audit.shares import recompute_all
    from ledger.terms import TermsBook

    book = TermsBook.load(settings.terms)
    return await recompute_all(connection, book, until, processes, stream)


def _tell_recomputed(done: Recomputed, as_json: bool) -> int:
    if as_json:
        typer.echo(json.dumps(done, default=_plain, ensure_ascii=False))
    else:
        typer.echo(_summary(done))
        _show_findings([*done.findings, *done.undecided])
    if done.findings:
        return 1
    return CANNOT_DECIDE if done.undecided else 0


def _summary(done: Recomputed) -> str:
    return (
        f"recomputed {done.acts} acts with {done.facts} facts; {done.told} facts hold no decision; "
        f"{len(done.undecided)} commands cannot be decided"
    )


def _show_findings(findings: list[Finding]) -> None:
    if not findings:
        typer.echo("no finding")
        return
    show(findings, as_json=False)


def _plain(value: Any) -> Any:
    return asdict(value) if hasattr(value, "__dataclass_fields__") else str(value)

"""`explore`: random lives told to a running sandbox, until one is answered otherwise than the rules say.

What must stay true: it needs nothing of the service but its HTTP contract, and leaves nothing but made-up members.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.options import Data, chosen
from ledger.faults import EnvironmentFault
from ledger.settings import PREFIX

if TYPE_CHECKING:
    from ledger.testing import Discrepancy, OverHttp, Policy

LIFETIME = timedelta(hours=8)


class Life(StrEnum):
    """Which rules the random lives follow."""

    WHOLE = "whole"
    ACCESS = "access"
    ACCOUNT = "account"


def join(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(explore)


def explore(
    url: Annotated[str, typer.Option(help="The sandbox, such as http://127.0.0.1:8000.")],
    examples: Annotated[int, typer.Option(min=0, help="Random lives, after the stories told on purpose.")] = 100,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the random lives. [default: a new one, printed]")] = None,
    steps: Annotated[int, typer.Option(min=1, max=200, help="Steps of one life, at most.")] = 30,
    life: Annotated[Life, typer.Option(help="Which rules they follow.")] = Life.WHOLE,
    token: Annotated[
        list[str] | None, typer.Option(help="ROLE=TOKEN, once for each role. [default: CARDLEDGER_TOKEN_ROLE]")
    ] = None,
    data: Data = None,
    expect: Annotated[
        list[str] | None, typer.Option(help="NAME=NUMBER of the policy expected, such as pin_max_failures=4.")
    ] = None,
    script: Annotated[Path | None, typer.Option(help="Write the script of what is found there.")] = None,
) -> None:
    """Tell random lives to a running sandbox; print the shortest one that is answered otherwise than the rules say.

    The tokens are given, or issued in the sandbox of `--data`.
    """
    policy = _policy(expect or [])
    tokens = _issued(data) if data is not None else _given(token or [])
    chosen_seed = secrets.randbelow(1_000_000) if seed is None else seed

    from ledger.testing import OverHttp

    driver = OverHttp(url, tokens)
    driver.refuse_unfit()
    # Hypothesis takes a SystemExit for a failure of what it tries, and would try it again; an interrupt ends it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    typer.echo(f"exploring {url} with seed {chosen_seed}")
    found = _told_on_purpose(driver, policy) or _told_at_random(driver, policy, examples, chosen_seed, steps, life)
    if found is None:
        typer.echo("nothing was answered otherwise than expected")
        return
    typer.echo(str(found))
    if script is None:
        typer.echo(f"\n{found.script}")
    else:
        script.write_text(found.script, "utf-8")
        typer.echo(f"the requests are in {script}")
    raise typer.Exit(1)


def _told_on_purpose(driver: OverHttp, policy: Policy) -> Discrepancy | None:
    from ledger.calendar import JST
    from ledger.testing import Opening, directed, tell_on_purpose

    opening = Opening(datetime(2020, 1, 1, 9, tzinfo=JST))  # where the story really begins, the sandbox says
    stories = directed.stories()
    with typer.progressbar(stories.items(), label="stories", file=sys.stderr, show_eta=False) as bar:
        for _, story in bar:
            found = tell_on_purpose(driver, story, opening, policy=policy)
            if found is not None:
                return found
    return None


def _told_at_random(
    driver: OverHttp, policy: Policy, examples: int, seed: int, steps: int, life: Life
) -> Discrepancy | None:
    from ledger.testing import explore as tell_lives

    with typer.progressbar(length=examples, label="lives", file=sys.stderr) as bar:
        return tell_lives(
            driver,
            examples=examples,
            seeded=seed,
            policy=policy,
            life=life.value,
            steps=steps,
            told=lambda: bar.update(1),
        )


def _policy(expected: Iterable[str]) -> Policy:
    from ledger.testing import Policy

    try:
        return Policy().changed(**{name: int(number) for name, number in _pairs(expected, "--expect")})
    except ValueError as fault:
        names = ", ".join(Policy.numbers())
        raise typer.BadParameter(f"{fault}; the names are {names}", param_hint="--expect") from None


def _given(tokens: Iterable[str]) -> dict[str, str]:
    """The tokens of the options, else of the environment. Raises EnvironmentFault, naming those that are missing."""
    from ledger.testing.over_http import ROLES, name_of

    given = dict(_pairs(tokens, "--token"))
    if unknown := given.keys() - set(ROLES):
        raise typer.BadParameter(f"no such role: {', '.join(sorted(unknown))}", param_hint="--token")
    found = {role: given.get(role) or os.environ.get(f"{PREFIX}TOKEN_{name_of(role)}", "") for role in ROLES}
    if missing := [role for role, token in found.items() if not token]:
        raise EnvironmentFault(
            f"Tokens are missing: {', '.join(missing)}.",
            "Give --token ROLE=TOKEN for each, or --data with the folder of a local sandbox.",
        )
    return found


def _issued(data: Path) -> dict[str, str]:
    import psycopg

    from ledger.store import location
    from ledger.store import tokens as store
    from ledger.testing.over_http import ROLES

    settings = chosen(data, None, sandbox=True)
    if not settings.place.is_dir():
        raise EnvironmentFault(f"There is no sandbox in {data}.", "Give the folder that it is served from.")
    with location.opened(settings) as ready, psycopg.connect(ready.dsn) as connection:
        return {
            role: store.issue(connection, role.removeprefix("second-"), f"explore-{role}", LIFETIME)[1]
            for role in ROLES
        }


def _pairs(words: Iterable[str], option: str) -> Iterable[tuple[str, str]]:
    for word in words:
        name, separator, value = word.partition("=")
        if not separator:
            raise typer.BadParameter("NAME=VALUE is needed", param_hint=option)
        yield name, value

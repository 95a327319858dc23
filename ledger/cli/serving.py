"""`serve`, `project`, `demo`, `health`, `settings`: the processes of the service and what an operator asks of them.

What must stay true: when `serve` ends, by Ctrl-C, SIGTERM or an error, nothing that it started runs on.
"""

from __future__ import annotations

import asyncio
import os
import socket
import urllib.error
import urllib.request
from datetime import datetime
from typing import Annotated

import typer
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ledger.cli.options import Data, DatabaseUrl, Host, Json, Port, Sandbox, chosen, show
from ledger.faults import EnvironmentFault
from ledger.settings import Settings, variable

APPLICATION = "api.app:create_app"
PROTOCOL = "api.unreadable:Protocol"
LATE_SECONDS = 60
"""A projector that is this far behind is not ready."""
DEFAULT_START = "2020-01-01T09:00:00+09:00"


def join(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (serve, project, demo, health):
        app.command()(command)
    app.command("settings")(settings_)


def serve(
    host: Host = None,
    port: Port = None,
    data: Data = None,
    database_url: DatabaseUrl = None,
    processes: Annotated[int | None, typer.Option(help="Server processes. [default: 1]")] = None,
    sandbox: Sandbox = False,
    start: Annotated[
        str | None,
        typer.Option(help=f"Where the clock of an empty sandbox begins, RFC 3339. [default: {DEFAULT_START}]"),
    ] = None,
    no_projector: Annotated[bool, typer.Option("--no-projector", help="Leave the read models to `project`.")] = False,
) -> None:
    """Serve the HTTP interface, with a PostgreSQL of its own unless a database URL is given."""
    settings = chosen(
        data,
        database_url,
        sandbox=sandbox,
        host=host,
        port=port,
        processes=processes,
        start=_instant(start, sandbox=sandbox),
        projector=False if no_projector else None,
    )
    run_server(settings)


def run_server(settings: Settings) -> None:
    """Serve until a signal ends it. Raises EnvironmentFault before anything is served."""
    from ledger.store import location
    from ledger.store.preparation import prepare, refuse_unfit_keys

    with _listen(settings) as listener:
        address, port = listener.getsockname()[:2]
        bound = settings.model_copy(update={"port": port})
        with location.serving(bound), location.opened(bound) as ready:
            prepare(ready, embedded=bound.database_url is None)
            refuse_unfit_keys(ready)
            ready.to_environment()
            shown = f"[{address}]" if ":" in address else address
            typer.echo(f"Card Ledger is served at http://{shown}:{port} - documentation at /docs, Ctrl-C ends it.")
            _run_uvicorn(ready, listener)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such address"
        raise EnvironmentFault(
            f"Port {settings.port} of {settings.host} cannot be opened ({reason}).",
            "Give another one with --port.",
        ) from error


def _run_uvicorn(settings: Settings, listener: socket.socket) -> None:
    import uvicorn
    from uvicorn.importer import import_from_string
    from uvicorn.supervisors import Multiprocess

    config = uvicorn.Config(
        APPLICATION,
        factory=True,
        http=import_from_string(PROTOCOL),
        ws="none",
        host=settings.host,
        port=settings.port,
        workers=settings.processes,
        log_level="warning" if settings.log_level == "info" else settings.log_level,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who is asked for X-Forwarded-For is a setting of ours
        lifespan="on",
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    if settings.processes > 1:
        Multiprocess(config, sockets=[listener]).run()
        return
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    if not server.started:
        raise EnvironmentFault("The server did not start.", "The lines above say why.")


def project(data: Data = None, database_url: DatabaseUrl = None, sandbox: Sandbox = False) -> None:
    """Keep the read models up to date, as a process of its own."""
    from ledger import logs
    from ledger.projections import projector
    from ledger.store import location
    from ledger.store.preparation import prepare

    with location.opened(chosen(data, database_url, sandbox=sandbox)) as ready:
        prepare(ready, embedded=False)
        logs.configure(ready.log_level)
        asyncio.run(projector.run(ready.dsn))


def demo(port: Port = None, data: Data = None) -> None:
    """Tell the story of a card in a sandbox of its own, over HTTP, and print what happens."""
    from ledger import demo as story

    raise typer.Exit(story.tell(chosen(data, None, sandbox=True, port=port)))


def health(
    host: Host = None,
    port: Port = None,
    projector: Annotated[bool, typer.Option("--projector", help="Ask for the projector, in the database.")] = False,
    data: Data = None,
    database_url: DatabaseUrl = None,
    sandbox: Sandbox = False,
) -> None:
    """Say whether the service is ready: exit 0 if it is, 1 if not."""
    from ledger.store import location

    settings = chosen(data, database_url, sandbox=sandbox, host=host, port=port)
    if port is None and (served := location.served_port(settings)) is not None:
        settings = settings.model_copy(update={"port": served})
    ready = _projector_ready(settings) if projector else _answers(settings)
    typer.echo("ready" if ready else "not ready")
    raise typer.Exit(0 if ready else 1)


def _answers(settings: Settings) -> bool:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        with urllib.request.urlopen(f"http://{host}:{settings.port}/readyz", timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _projector_ready(settings: Settings) -> bool:
    import psycopg

    from ledger.projections import status
    from ledger.store import location

    with location.opened(settings) as opened, psycopg.connect(opened.dsn) as connection:
        rows = status.listing(connection)
    return bool(rows) and all(row.state == "following" and row.lag_seconds < LATE_SECONDS for row in rows)


def settings_(
    data: Data = None, database_url: DatabaseUrl = None, sandbox: Sandbox = False, json: Json = False
) -> None:
    """Print every setting with its value, its environment variable, and what it means."""
    chosen_now = chosen(data, database_url, sandbox=sandbox)
    rows = [
        {
            "variable": variable(name),
            "value": _without_password(chosen_now.database_url)
            if name == "database_url"
            else getattr(chosen_now, name),
            "meaning": field.description,
        }
        for name, field in Settings.model_fields.items()
    ]
    show(rows, as_json=json)


def _without_password(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        parts = conninfo_to_dict(url)
    except Exception:  # noqa: BLE001 - what cannot be read may hold a password anywhere
        return "(cannot be read)"
    return make_conninfo("", **{name: value for name, value in parts.items() if "password" not in name})


def _instant(text: str | None, *, sandbox: bool) -> datetime | None:
    if text is None:
        return datetime.fromisoformat(DEFAULT_START) if sandbox else None
    if not sandbox:
        raise typer.BadParameter("only a sandbox has a clock to set", param_hint="--start")
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = datetime.min  # noqa: DTZ901 - has no offset either
    if instant.tzinfo is None:
        raise typer.BadParameter("not an RFC 3339 time with an offset from UTC", param_hint="--start")
    return instant

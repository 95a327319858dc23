"""The application: routes from the table of operations, behind one edge, around services that are opened at the start.

What must stay true: the order of stopping. First nobody is sent here any more and streams end, then accepted acts are
finished, then the projector stops, and last the pools are closed.
"""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from api.edge import Edge
from api.exchange import Reply
from api.meters import RequestMeters
from api.openapi import document
from api.operations import by_path, operations
from api.paths import Paths
from api.pipeline import Resource, deliver, refused
from api.ports import Services
from api.problems import catalogue, refusal_of_status
from api.shutdown import ended_with_the_supervisor, told_of_signals
from api.wiring import opened_services
from ledger.audit.events import SCHEMAS
from ledger.audit.schemas import published
from ledger.logs import configure, request_log
from ledger.refusals import NotFound
from ledger.settings import Settings

OpenServices = Callable[[Settings], AbstractAsyncContextManager[Services]]

STATIC = Path(__file__).parent / "static"
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Application(FastAPI):
    """The framework's application; what the table of operations knows does not go through the framework's layers."""

    def __init__(self, paths: Paths, **options: Any) -> None:
        super().__init__(**options)
        self.paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        resource = self.paths.find(scope) if scope["type"] == "http" else None
        if resource is None:
            await super().__call__(scope, receive, send)
        else:
            scope["app"] = self
            await resource(scope, receive, send)


def create_app(settings: Settings | None = None, open_services: OpenServices = opened_services) -> FastAPI:
    """The application of these settings, those of the environment where none are given."""
    settings = settings or Settings.read()
    configure(settings.log_level)
    rows = operations(in_sandbox=settings.sandbox)
    told = document(rows, _version())
    registry, requests = CollectorRegistry(), RequestMeters()
    registry.register(requests)
    observed = "FASTAPI_OTEL_AUTO_CONFIGURE" in os.environ  # the framework would ask again for each request
    log = request_log(settings.log_level)
    resources = {path: Resource(by_method) for path, by_method in by_path(rows).items()}
    # An observer of the framework sees what goes through it.
    short = {} if observed else {path: Edge(resource, log, requests) for path, resource in resources.items()}
    app = Application(
        Paths(short),
        title=told["info"]["title"],
        version=told["info"]["version"],
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan(settings, open_services, registry),
        middleware=[Middleware(Edge, log=log, meters=requests)],
        exception_handlers={HTTPException: _framework_error},
        telemetry={"tracing": observed, "metrics": observed, "logs": False},
    )
    app.openapi = lambda: told  # type: ignore[method-assign]  # FastAPI's own hook for a document made elsewhere
    for path, resource in resources.items():
        app.router.routes.append(Route(path, resource, include_in_schema=False))
    _add_pages(app, msgspec.json.encode(told))
    return app


def _lifespan(
    settings: Settings, open_services: OpenServices, registry: CollectorRegistry
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(settings) as services:
            registry.register(services.metrics)
            app.state.services, app.state.metrics = services, registry
            _spare_the_collector()
            with told_of_signals(services.stopping), ended_with_the_supervisor():
                yield
            services.stopping.set()
            await services.drain()
            await services.stop_projector()

    return lifespan


def _spare_the_collector() -> None:
    """What was made so far stays, and requests leave few cycles: looking for them often cost a tenth of an act."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _version() -> str:
    try:
        return installed_version("cardledger")
    except PackageNotFoundError:
        return "0"


async def _framework_error(request: Request, fault: Exception) -> Response:
    """What the framework refuses by itself (an unknown path, in the main) as a problem like any other."""
    status = fault.status_code if isinstance(fault, HTTPException) else 500
    return _Refused(refused(refusal_of_status(status), request.scope["exchange"]))


class _Refused(Response):
    """A finished reply in the dress of the framework."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        await deliver(self.reply, scope["exchange"], send)


def _add_pages(app: FastAPI, openapi: bytes) -> None:
    """The pages that are no operations: the document, its viewer, and the catalogue of problems."""
    problems = {entry["code"]: msgspec.json.encode(entry) for entry in catalogue()}
    index = msgspec.json.encode({"data": list(catalogue())})

    async def read_document(_request: Request) -> Response:
        return Response(openapi, media_type="application/json")

    async def read_viewer(_request: Request) -> Response:
        return FileResponse(STATIC / "docs.html", headers={"content-security-policy": DOCS_POLICY})

    async def read_catalogue(_request: Request) -> Response:
        return Response(index, media_type="application/json")

    async def read_problem(request: Request) -> Response:
        entry = problems.get(request.path_params["code"])
        if entry is None:
            return _Refused(refused(NotFound(), request.scope["exchange"]))
        return Response(entry, media_type="application/json")

    app.add_route("/openapi.json", read_document)
    app.add_route("/docs", read_viewer)
    app.add_route("/problems", read_catalogue)
    app.add_route("/problems/{code}", read_problem)
    _add_schemas(app)
    app.mount("/static", StaticFiles(directory=STATIC))


def _add_schemas(app: FastAPI) -> None:
    """The JSON Schemas of the events, which `dataschema` of an event names."""
    schemas = {type_: msgspec.json.encode(schema) for type_, schema in published().items()}
    index = msgspec.json.encode({"data": [{"type": type_, "href": SCHEMAS + type_} for type_ in schemas]})

    async def read_index(_request: Request) -> Response:
        return Response(index, media_type="application/json")

    async def read_schema(request: Request) -> Response:
        schema = schemas.get(request.path_params["type"])
        if schema is None:
            return _Refused(refused(NotFound(), request.scope["exchange"]))
        return Response(schema, media_type="application/schema+json")

    app.add_route(SCHEMAS.rstrip("/"), read_index)
    app.add_route(SCHEMAS + "{type}", read_schema)

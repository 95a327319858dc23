"""What stands behind the routes of a real process: the services, opened from the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.ports import Services
from ledger.faults import EnvironmentFault
from ledger.settings import Settings


@asynccontextmanager
async def opened_services(settings: Settings) -> AsyncIterator[Services]:
    """The services while the process serves; whatever they opened is closed at the end."""
    yield await _services(settings)


async def _services(settings: Settings) -> Services:
    raise EnvironmentFault(f"The services of {settings.place} are not wired yet.", "Pass `open_services`.")

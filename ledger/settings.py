"""The settings: every one with its unit and its default, read from the environment as `CARDLEDGER_…`.

What must stay true: a setting holds no secret. A password or a key is a file, and the setting is the path to it. The
command line writes its options into the environment, so that the processes it starts read the same settings.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo
from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ledger.faults import EnvironmentFault

PREFIX = "CARDLEDGER_"


class Settings(BaseSettings):
    """How the program is set up; `cardledger settings` prints the values in force."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", populate_by_name=True)

    data: Path = Field(Path(".cardledger"), description="Folder of the embedded database and of its key file.")
    database_url: str | None = Field(
        None,
        validation_alias=AliasChoices("DATABASE_URL"),
        description="PostgreSQL to use instead of the embedded one; several hosts may be named. No password in it.",
    )
    database_password_file: Path | None = Field(None, description="File that holds the password of the database URL.")
    key_file: Path | None = Field(None, description="File of the master keys; in the data folder unless given.")
    terms: Path | None = Field(None, description="File of the dated product terms; the shipped ones unless given.")
    sandbox: bool = Field(False, description="Whether this is a sandbox, whose clock can be moved.")
    start: datetime | None = Field(None, description="Where the clock of an empty sandbox begins, with its UTC offset.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="TCP port to listen on.")
    processes: int = Field(1, ge=1, le=64, description="Server processes.")
    projector: bool = Field(True, description="Whether `serve` also keeps the read models up to date.")
    connections: int = Field(8, ge=2, le=200, description="Database connections of one process, at most.")
    close_days_after_minutes: int | None = Field(
        None, ge=0, le=1439, description="`serve` closes each day so many minutes after it is over. [default: never]"
    )
    heartbeat_seconds: int = Field(
        15, ge=1, le=600, description="Silence after which an event stream says that it is still there."
    )
    shutdown_seconds: int = Field(5, ge=1, le=600, description="Seconds that open requests get at the end.")
    login_throttle: bool = Field(True, description="Whether failed logins are limited by source; never in a sandbox.")
    proxies: int = Field(0, ge=0, le=9, description="Reverse proxies in front that append to X-Forwarded-For.")
    smtp_host: str | None = Field(None, description="Mail server; without one, mails stay in the outbox.")
    smtp_port: int = Field(587, ge=1, le=65535, description="TCP port of the mail server.")
    smtp_starttls: bool = Field(True, description="Whether the mail server is spoken to over TLS.")
    smtp_user: str | None = Field(None, description="User at the mail server.")
    smtp_password_file: Path | None = Field(None, description="File that holds that user's password.")
    mail_from: str = Field("no-reply@localhost", description="Sender of the mails.")
    test_hash_cost: bool = Field(False, description="Cheap hashes, for suites: they protect nothing. Sandbox only.")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least level that is logged.")

    @classmethod
    def read(cls, **given: Any) -> Settings:
        """The settings of the environment, overridden by what is given and not None. Raises EnvironmentFault."""
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            names = ", ".join(variable(str(each["loc"][0])) for each in error.errors(include_input=False))
            raise EnvironmentFault(f"A setting cannot be read: {names}.", "See `cardledger settings`.") from None

    @property
    def place(self) -> Path:
        """The folder of this ledger: a sandbox and a real one never share it."""
        return self.data.expanduser().absolute() / ("sandbox" if self.sandbox else "ledger")

    @property
    def keys(self) -> Path:
        """The file of the master keys, whether it is there already or not."""
        return self.key_file or self.place / "keys.json"

    @property
    def dsn(self) -> str:
        """The connection string, with the password read from its file. Never print or log it."""
        assert self.database_url is not None, "no database chosen yet"
        if self.database_password_file is None:
            return self.database_url
        try:
            password = self.database_password_file.read_text().strip()
        except OSError as error:
            raise EnvironmentFault(
                f"The password file {self.database_password_file} cannot be read ({error.strerror}).",
                "Correct CARDLEDGER_DATABASE_PASSWORD_FILE.",
            ) from error
        return make_conninfo(self.database_url, password=password)

    def to_environment(self) -> None:
        """Write the settings into the environment, for the processes that this one starts."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is None:
                os.environ.pop(variable(name), None)
            else:
                os.environ[variable(name)] = value.isoformat() if isinstance(value, datetime) else str(value)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return "DATABASE_URL" if name.lower() == "database_url" else PREFIX + name.upper()

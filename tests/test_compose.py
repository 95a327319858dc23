"""docker-compose.yml and Dockerfile, as far as they can be held to their word without an engine.

The schema below is the part of the Compose specification that the file uses, written out strictly: a key that is not
in it is a mistake here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from typer.testing import CliRunner

from ledger.cli import app
from ledger.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
WORDS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
DURATION = {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h))+$"}
SERVICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image"],
    "properties": {
        "image": {"type": "string", "pattern": r"^[a-z0-9./_-]+:[0-9][0-9A-Za-z._-]*$"},
        "build": {"type": "string"},
        "command": WORDS,
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "secrets": WORDS,
        "volumes": WORDS,
        "ports": {"type": "array", "items": {"type": "string", "pattern": r"^127\.0\.0\.1:.+:[0-9]+$"}},
        "init": {"type": "boolean"},
        "read_only": {"type": "boolean"},
        "tmpfs": WORDS,
        "cap_drop": WORDS,
        "security_opt": WORDS,
        "shm_size": {"type": "string", "pattern": "^[0-9]+[kmg]$"},
        "stop_signal": {"type": "string", "pattern": "^SIG[A-Z]+$"},
        "stop_grace_period": DURATION,
        "restart": {"enum": ["no", "always", "unless-stopped", "on-failure"]},
        "depends_on": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["condition"],
                "properties": {
                    "condition": {"enum": ["service_started", "service_healthy", "service_completed_successfully"]},
                    "restart": {"type": "boolean"},
                },
            },
        },
        "healthcheck": {
            "type": "object",
            "additionalProperties": False,
            "required": ["test", "interval", "timeout", "retries"],
            "properties": {
                "test": WORDS | {"prefixItems": [{"const": "CMD"}]},
                "interval": DURATION,
                "timeout": DURATION,
                "start_period": DURATION,
                "retries": {"type": "integer", "minimum": 1},
            },
        },
    },
}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "patternProperties": {"^x-": {}},
    "required": ["name", "services"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {"type": "object", "additionalProperties": SERVICE},
        "volumes": {"type": "object", "additionalProperties": {"type": "null"}},
        "secrets": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["file"],
                "properties": {"file": {"type": "string", "pattern": r"^\./deploy/secrets/"}},
            },
        },
    },
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


def ours(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The services that run this program."""
    return {name: service for name, service in compose["services"].items() if "build" in service}


def refuse_unknown_command(words: list[str]) -> None:
    """Fail unless `cardledger` has this command with these options."""
    nouns = [word for word in words if re.fullmatch("[a-z]+(-[a-z]+)*", word)]
    help_page = CliRunner().invoke(app, [*nouns, "--help"], env={"COLUMNS": "200"})
    assert help_page.exit_code == 0, words
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"(?m)^\s*{option}\b", help_page.output), (words, option)


def test_the_file_has_the_shape_of_a_compose_file(compose: dict[str, Any]) -> None:
    assert [error.message for error in jsonschema_rs.validator_for(SCHEMA).iter_errors(compose)] == []


def test_every_name_that_is_used_is_declared(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        assert set(service.get("secrets", [])) <= set(compose["secrets"])
        named = {volume.split(":")[0] for volume in service.get("volumes", []) if not volume.startswith("./")}
        assert named <= set(compose["volumes"])


def test_whatever_is_waited_for_says_that_it_is_well(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, wait in service.get("depends_on", {}).items():
            assert wait["condition"] != "service_healthy" or "healthcheck" in compose["services"][name]


def test_every_command_exists(compose: dict[str, Any]) -> None:
    assert set(ours(compose)) == {"migrate", "api", "projector"}
    for service in ours(compose).values():
        refuse_unknown_command(service["command"])


def test_every_health_check_of_ours_exists(compose: dict[str, Any]) -> None:
    tests = [service["healthcheck"]["test"] for service in ours(compose).values() if "healthcheck" in service]
    assert len(tests) == 2
    for _, program, *words in tests:
        assert program == "cardledger"
        refuse_unknown_command([word for word in words if word != "127.0.0.1"])


def test_every_setting_exists(compose: dict[str, Any], dockerfile: str) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {"DATABASE_URL"}
    given = {name for service in ours(compose).values() for name in service["environment"]}
    assert given | set(re.findall(rf"\b({PREFIX}[A-Z_]+)=", dockerfile)) <= known


def test_no_secret_is_written_in_the_file(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or name.endswith("_FILE"), name
            assert not re.search(r"://[^/@]*:[^/@]*@", value), name


def test_what_runs_our_program_has_no_rights_to_spare(compose: dict[str, Any]) -> None:
    for service in ours(compose).values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_a_container_gets_longer_to_stop_than_its_open_requests_do(compose: dict[str, Any]) -> None:
    seconds = int(compose["services"]["api"]["stop_grace_period"].removesuffix("s"))
    assert seconds > Settings.model_fields["shutdown_seconds"].default


def test_the_image_starts_our_program_directly_and_not_as_root(dockerfile: str) -> None:
    entry, command = (
        json.loads(re.findall(rf"(?m)^{word} (\[.*\])$", dockerfile)[0]) for word in ("ENTRYPOINT", "CMD")
    )
    assert entry == ["cardledger"]
    refuse_unknown_command(command)
    last_stage = dockerfile.rsplit("\nFROM ", maxsplit=1)[-1]
    assert re.findall(r"(?m)^USER (\w+)$", last_stage) == ["cardledger"]


def test_everything_the_image_copies_is_here_and_sent_to_the_builder(dockerfile: str) -> None:
    sent = set(re.findall(r"(?m)^!(\S+)$", (ROOT / ".dockerignore").read_text()))
    copied = {word for line in re.findall(r"(?m)^COPY (?!--from)(.*) \S+$", dockerfile) for word in line.split()}
    assert copied == sent
    assert all((ROOT / each).exists() for each in copied)


def test_the_health_check_of_the_image_exists(dockerfile: str) -> None:
    (words,) = re.findall(r"HEALTHCHECK .*CMD (\[.*\])", dockerfile)
    refuse_unknown_command([word for word in json.loads(words)[1:] if word != "127.0.0.1"])

"""The service against its own OpenAPI document: schemathesis asks what the document allows, and what it does not."""

import time
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from tests.fuzz.whole import admin_token
from tests.running import Client, Service

SECONDS_MAX = 10.0  # In every run, of each profile; enough for everything it has, on a machine that is not busy.

# "Valid by the document" is not enough to be accepted: a filter is a string there, and has a grammar of its own.
CHECKS = {
    "positive_data_acceptance": {"enabled": False},
    "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", 501]},  # A method nobody knows: EP-10.
    "negative_data_rejection": {"expected-statuses": [400, 401, 403, 404, 405, 409, 412, 413, 414, 415]},
}


def configured(client: Client, admin: str, seed: int, examples: int, phases: set[str]) -> SchemathesisConfig:
    """admin: a token of that scope. Valid tokens for everything, and generation that a seed repeats."""
    every: dict[str, dict[str, Any]] = {
        name: {"enabled": name in phases} for name in ("examples", "coverage", "fuzzing", "stateful")
    }
    every["coverage"]["unexpected-methods"] = ["get", "put", "post", "delete", "options", "patch"]
    # Links fill in the tenant and the token, so that what was made wrong in them is right again.
    every["stateful"]["generation"] = {"mode": "positive"}
    return SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "generation": {"mode": "all", "max-examples": examples, "database": "none"},
            "phases": every,
            "checks": CHECKS,
            "parameters": {"path.tenant": client.slug},
            "operations": [
                {"include-tag": "SCIM", "headers": {"Authorization": f"Bearer {client.token}"}},
                # Without a user that the token is bound to, /Me is nothing that could have methods (ME-03).
                {"include-path": "/scim/{tenant}/v2/Me", "checks": {"unsupported_method": {"enabled": False}}},
                # What is wrong with an operation is told in its result, and the answer is 200 (BU-07).
                {"include-path": "/scim/{tenant}/v2/Bulk", "checks": {"negative_data_rejection": {"enabled": False}}},
                # As CSV the body is a text, and no text is another type: "[]" is also an export without rows.
                {
                    "include-path": "/api/{tenant}/entra-log",
                    "checks": {"negative_data_rejection": {"enabled": False}},
                },
                {"include-tag": "Audit", "headers": {"Authorization": f"Bearer {client.audit_token}"}},
                {"include-tag": "Admin", "headers": {"Authorization": f"Bearer {admin}"}},
            ],
        }
    )


def findings(
    service: Service, profile: str, seed: int, examples: int, phases: set[str], seconds_max: float
) -> tuple[int, list[str]]:
    """Let schemathesis ask; return how many requests were answered, and every failure once, with a way to repeat it."""
    until = time.monotonic() + seconds_max
    client = service.new_tenant(profile)
    config = configured(client, admin_token(service, client), seed, examples, phases)
    schema = schemathesis.openapi.from_url(f"{service.base_url}/schema", config=config)
    schema.validate()
    answered, found = 0, dict[tuple[Any, ...], str]()
    stream = from_schema(schema).execute()
    for event in stream:
        if time.monotonic() > until:
            stream.stop()
        if isinstance(event, events.NonFatalError | events.FatalError):
            found["error", str(event)] = str(event)
        if not isinstance(event, events.ScenarioFinished):
            continue
        answered += sum(each.response is not None for each in event.recorder.interactions.values())
        for check in (check for checks in event.recorder.checks.values() for check in checks):
            if (failed := check.failure_info) is not None:
                text = f"{check.name}: {event.label}: {failed.failure.title}\n{failed.failure.message}"
                found.setdefault((check.name, event.label), f"{text}\n{failed.code_sample}")
    return answered, list(found.values())


@pytest.mark.parametrize("profile", ["lenient", "strict"])
def test_answers_are_as_the_document_says(service: Service, seed: int, profile: str) -> None:
    """Status, media type, headers and body of every answer; wrong requests refused; no token, no answer."""
    answered, found = findings(service, profile, seed, 2, {"fuzzing", "stateful"}, SECONDS_MAX)
    assert not found, "\n\n".join(found)
    assert answered


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("profile", ["lenient", "strict"])
def test_answers_are_as_the_document_says_for_minutes(service: Service, seed: int, profile: str) -> None:
    """The same with every phase, boundary values one by one, and many more requests."""
    phases = {"examples", "coverage", "fuzzing", "stateful"}
    answered, found = findings(service, profile, seed, 30, phases, 1_500)
    assert not found, "\n\n".join(found)
    assert answered > 1_000

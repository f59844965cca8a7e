"""What fuzzing found, each as a request and the answer that is right: tests/golden/fuzz, one file a finding.

request.raw: pieces of bytes as they went over the wire, [text, times] for a long one; `{base}` is the tenant's SCIM
base and `{head}` its Host and Authorization headers. answer.body: the members that it has to have, at least.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.speaking import Speaker, said
from tests.running import Service

GOLDEN = sorted((Path(__file__).resolve().parent.parent / "golden" / "fuzz").glob("*.json"))


@pytest.fixture(scope="module")
def speaker(service: Service) -> Speaker:
    """A tenant for all of them."""
    return Speaker(service)


def wired(pieces: list[Any], speaker: Speaker) -> bytes:
    """The bytes of a request."""
    head = f"Host: scim.example\r\nAuthorization: Bearer {speaker.token}\r\n"
    text = "".join(piece if isinstance(piece, str) else piece[0] * piece[1] for piece in pieces)
    return text.replace("{base}", speaker.base).replace("{head}", head).encode("latin-1")


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_what_was_found_is_answered_right(speaker: Speaker, path: Path) -> None:
    """For ever."""
    golden = json.loads(path.read_text())
    (answer,) = said(speaker, wired(golden["request"]["raw"], speaker))
    expected = golden["answer"]
    assert answer.status == expected["status"], answer.body[:500]
    assert answer.headers.items() >= expected["headers"].items()
    assert answer.json().items() >= expected["body"].items()

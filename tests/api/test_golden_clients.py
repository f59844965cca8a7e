"""Every deviation seen of a real client: read for what it means, recorded, answered as that client needs it."""

from typing import Any

import pytest
from playing import Played, golden, names


@pytest.mark.parametrize("name", names())
def test_a_client_is_understood(service: Any, name: str) -> None:
    """One golden file a deviation; the file says which client, and which row."""
    file = golden(name)
    played = Played(service, file)
    assert played.canonical == file.get("canonical")
    assert played.response == file["response"]
    assert played.events == file["events"]
    assert (played.quirks, played.ignored) == (file.get("quirks", []), file.get("ignored", []))

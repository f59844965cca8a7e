"""Tests of this folder may be coroutines, and may speak to a desk: as those of the ledger."""

from tests.ledger.conftest import auditor, desk, loop, offices, pytest_pyfunc_call

__all__ = ["auditor", "desk", "loop", "offices", "pytest_pyfunc_call"]

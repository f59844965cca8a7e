"""The benchmark runs: every row that a small directory allows, right answers only, and no trace when it cannot."""

import json
from pathlib import Path

import pytest

from bench.run import Arguments, run
from tests.faults.checks import durable_folder

QUESTIONS = ["why", "history", "as-of"]
SIMULATED = [f"{name}-simulated" for name in (*QUESTIONS, "replay")]
ROWS = ["post", "bulk", "get-300", "filter-300", "patch-300", "add-10", *QUESTIONS, *SIMULATED]


def test_a_small_run_measures_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    """On a durable service of its own, which is gone afterwards. How fast it was is nobody's business here."""
    with durable_folder() as folder:
        assert run(Arguments(users=(300,), rounds=1, seconds=0.4, simulated=10, json=True, data=folder)) == 0
        assert list(folder.iterdir()) == []
    report = json.loads(capsys.readouterr().out)
    assert report["valid"] and report["reference_per_s_median"] > 0
    assert [row["key"] for row in report["rows"]] == ROWS
    assert all(row["median"]["rate"] > 0 and row["median"]["ratio"] > 0 for row in report["rows"])
    assert [each["key"] for each in report["left_out"]] == ["add-1k", "add-100k"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"rows": ("get-7",), "users": (10,)}, "there is no row get-7; there are "),
        ({"base_url": "http://127.0.0.1:9", "tenants": ("one",)}, "give --tenant slug:SCIM-TOKEN:AUDIT-TOKEN"),
        (
            {
                "base_url": "http://127.0.0.1:9", "tenants": ("a:b:c", "d:e:f"), "users": (1,),
                "database_url": "postgresql://app:geheim@127.0.0.1:9/ledger",
            },
            "Connection refused",
        ),
    ],
    ids=["an unknown row", "half a tenant", "nothing at the addresses"],
)  # fmt: skip
def test_what_cannot_be_measured_is_one_sentence(
    asked: dict[str, object], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(Arguments(rounds=1, seconds=0.1, data=tmp_path, **asked)) == 1  # type: ignore[arg-type]
    caught = capsys.readouterr()
    assert caught.out == "" and "bench: " in caught.err and said in " ".join(caught.err.split())
    assert "Traceback" not in caught.err and "geheim" not in caught.err

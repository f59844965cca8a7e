"""What is true of a simulated ledger, known from the story: what answers are checked against, not themselves."""

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from bench.simulator.fates import LEAVERS
from bench.simulator.happenings import NOBODY
from bench.simulator.service import Answer, Counts


class Step(Struct, frozen=True):
    """One request of a planted situation, and what it left.

    act: what the story says happened. by: which client sent it. events: types, from `position` on.
    """

    act: str
    by: str
    at: datetime
    status: int
    subject_id: str
    request_id: str
    position: int
    events: tuple[str, ...]

    def position_of(self, event_type: str) -> int:
        """Return the position of the request's first entry of a type."""
        return self.position + self.events.index(event_type)


class Situation(Struct):
    """Something that was planted, with everything that was sent for its sake, in order.

    kind: of FATES, or one of the company's own: mass_mistake, list_shortened, group_deleted, new_address, orphan.
    who: the number of the person it is about. terminated_at: as Personnel knows it.
    repeats: how often the same request came that changes nothing; only the first of them is a step.
    """

    kind: str
    who: int = NOBODY
    steps: list[Step] = []
    terminated_at: datetime | None = None
    repeats: int = 0

    @property
    def subject_ids(self) -> list[str]:
        """Everybody and every group that its requests were about, in order."""
        return list(dict.fromkeys(step.subject_id for step in self.steps))

    def all(self, act: str, by: str = "") -> list[Step]:
        """Return the steps of an act, and of a client when it is named."""
        return [step for step in self.steps if step.act == act and by in ("", step.by)]

    def first(self, act: str, by: str = "") -> Step:
        """Return the first of them; there is one."""
        return self.all(act, by)[0]


class TokenTruth(Struct, frozen=True):
    """A token, from when to when it was valid."""

    token_id: str
    label: str
    issued_at: datetime
    revoked_at: datetime | None


class Truth:
    """ids: the ids that each person had, oldest first. counts: at the end of every month, and at the end.

    outages: when the client was silent. new_address: the address that nobody had seen before.
    """

    def __init__(self) -> None:
        self.situations: dict[str, Situation] = {}
        self.ids: dict[int, list[str]] = {}
        self.counts: list[Counts] = []
        self.tokens: list[TokenTruth] = []
        self.outage: tuple[datetime, datetime] | None = None
        self.new_address = ""

    def note(self, plot: str, act: str, by: str, answer: Answer) -> None:
        """Note what was sent for the sake of a situation."""
        situation = self.situation(plot)
        events = tuple(type(event).__name__ for event in answer.events)
        situation.steps.append(
            Step(act, by, answer.at, answer.status, answer.resource_id, answer.request_id, answer.position, events)
        )

    def terminate(self, plot: str, at: datetime) -> None:
        """Note when Personnel ended somebody's employment."""
        self.situation(plot).terminated_at = at

    def situation(self, plot: str) -> Situation:
        """Return the situation of this name: its kind, and the person's number where it is about one."""
        if plot not in self.situations:
            kind, _, who = plot.partition(" ")
            self.situations[plot] = Situation(kind, int(who) if who else NOBODY, [])
        return self.situations[plot]

    def of_kind(self, *kinds: str) -> list[Situation]:
        """Return every situation of some kinds, in the order in which they began."""
        return [each for each in self.situations.values() if each.kind in kinds]

    def leavers(self) -> Iterator[Situation]:
        """Everybody whose employment ended for good."""
        return (each for each in self.situations.values() if each.kind in LEAVERS and each.terminated_at)

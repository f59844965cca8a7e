"""What the state machine draws: whom, which names and values, and when a rule can be drawn at all."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from cli.demo_dialects import DEFAULT, FLAG
from tests.fuzz.directory import OPTIONAL

picks = st.integers(0, 63)
few_picks = st.lists(picks, min_size=1, max_size=6)
dialects = st.sampled_from([DEFAULT, FLAG])
some_names = st.sampled_from(["ada@example.com", "Ada@Example.com", "Ümit@example.com", "ümit@example.com"])
user_names = some_names | st.integers(0, 99).map("user{}@example.com".format)
group_names = st.sampled_from(["Finance", "finance", "Ärzte", "All"]) | st.integers(0, 99).map("Team {}".format)
texts = st.sampled_from(["Guide", "guide", "Lead \u2713", "STRASSE", "straße", "x" * 40, "a\u0301"])
external_ids = texts | st.just("")  # What Entra sends for an attribute that is not set.
held_values = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(OPTIONAL, texts) | {"active": st.booleans(), "externalId": external_ids}
)
changes = st.dictionaries(st.sampled_from([*OPTIONAL, "active"]), texts, min_size=1, max_size=3)
filtered = st.sampled_from(["userName", "active", *OPTIONAL])
has_users = precondition(lambda machine: bool(machine.model.users))
has_groups = precondition(lambda machine: bool(machine.model.groups))
has_both = precondition(lambda machine: bool(machine.model.users and machine.model.groups))

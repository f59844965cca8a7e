"""What is planted in the story: kinds of situations, how frequent each is, and what is true of each at the end."""

ORDINARY = "ordinary"

# Of all people, but at least two of each. The endings are told in careers.py.
FATES = {
    # Leavers.
    "unassigned": 0.05,  # active=false, and never a DELETE.
    "directory_delete": 0.07,  # Disabled, and deleted 30 days later.
    "deleted_at_once": 0.015,  # DELETE without anything before it.
    "disabled_by_put": 0.01,  # A PUT says active=false and omits the rest, which is cleared.
    "lost_group_before": 0.03,  # The assigning group goes first, the account within 15 minutes.
    "terminated_active": 0.01,  # Personnel knows, nobody else was told.
    "disabled_late": 0.02,  # Days after the termination.
    "refused_before": 0.005,  # An update is refused twice, then comes the disable.
    "on_demand": 0.006,  # Disabled by a single request outside every cycle.
    # Those who come back.
    "rehired": 0.015,  # Enabled again after months; the groups do not come back.
    "recreated_external_id": 0.005,  # A new id with the old externalId and another userName within a day.
    "recreated_user_name": 0.005,  # A new id with the old userName and another externalId within a day.
    "flapping": 0.005,  # Disabled and enabled three times in a week.
    # Those who stay.
    "put_without_active": 0.005,  # A PUT omits active: it deactivates nobody.
    "renamed": 0.02,  # By marriage: another userName.
    "name_taken": 0.004,  # An update fails with 409 for weeks, until the name is free.
    "not_provisioned": 0.003,  # A POST fails with 409 to the end.
    "overwritten": 0.005,  # The help desk changes something, the next change in Entra takes it back.
    "duplicate": 0.004,  # Another record with the same mail.
    "groupless": 0.004,  # Active and in no group.
    "stuck": 0.02,  # A PATCH that changes nothing comes with every cycle.
}

LEAVERS = (
    "unassigned", "directory_delete", "deleted_at_once", "disabled_by_put", "lost_group_before", "terminated_active",
    "disabled_late", "refused_before", "on_demand",
)  # fmt: skip

# What the last record of a person is when the story ends. Who was never provisioned has none.
STATE_AT_END = {
    "unassigned": "inactive",
    "directory_delete": "deleted",
    "deleted_at_once": "deleted",
    "disabled_by_put": "inactive",
    "lost_group_before": "inactive",
    "terminated_active": "active",
    "disabled_late": "inactive",
    "refused_before": "inactive",
    "on_demand": "inactive",
    "rehired": "active",
    "recreated_external_id": "active",
    "recreated_user_name": "active",
    "flapping": "active",
    "put_without_active": "active",
    "renamed": "active",
    "name_taken": "active",
    "overwritten": "active",
    "duplicate": "active",
    "groupless": "active",
    "stuck": "active",
}

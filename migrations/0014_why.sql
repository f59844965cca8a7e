-- What *why* looks up: whom one client took access from around a time, what was refused about somebody, which groups
-- somebody left. The first two are of the trail, so that no request waits for them; the last is written when a
-- membership ends.

create index trail_of_leavers on trail (tenant_id, token_id, recorded_at)
    where action in ('disable', 'delete') and status = 'success' and resource_type = 'User';
create index trail_of_refusals on trail (tenant_id, target_id, first_position) where status = 'failure';
create index memberships_ended on memberships (tenant_id, member_id, to_position) where to_position is not null;

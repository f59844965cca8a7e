-- Most tenants are small, and then a few are not. From thousands of small ones ANALYZE learns that a tenant has a row or
-- two, so that every index that begins with the tenant looks as good as the key, and in the large one each look-up by
-- id reads everybody. The planner is to take every tenant for a tenth of the directory.
alter table users alter tenant_id set (n_distinct = 10);
alter table groups alter tenant_id set (n_distinct = 10);
alter table memberships alter tenant_id set (n_distinct = 10);

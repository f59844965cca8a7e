-- Which operation of which bulk request a record of the trail is; null for a request of its own.

alter table trail
    add column bulk_request_id uuid,
    add column bulk_operation integer;

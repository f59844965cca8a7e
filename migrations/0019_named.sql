-- What appends write at random places: of a large directory each of them is a page of its own, and after every
-- checkpoint all of it goes to the log.

-- Whoever an entry of a request is about is found by that entry. `subjects` are the others whom the request names: the
-- members of a list that stayed, names that were refused. Most requests have none, and are no part of the index.
drop index request_keys_by_subject;
create index request_keys_by_subject on request_keys using gin (subjects) with (gin_pending_list_limit = 512)
 where subjects <> '{}';

-- What stands in a person's own stream is about that person, and found by the stream.
drop index entries_by_subject;
create index entries_by_subject on entries (tenant_id, subject_id, position) where left(stream, 6) <> 'users/';

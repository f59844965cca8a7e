-- Lists of users sorted by userName come from an index. The names are in the search document, and an index on an
-- expression over that would cost every update its HOT chance as soon as the document is compressed; a column of
-- their own does not change when the name does not. 200 characters: domain/sorting.py.
alter table users add column user_name_sorted text collate "C"
    generated always as (left(search ->> 'userName', 200)) stored;
create index users_by_name_sorted on users (tenant_id, user_name_sorted, created_position);

"""The yardstick: durable commits a second of one connection, on the very server that the service uses.

A ratio to it means the same on a laptop and in a data centre; requests a second do not.
"""

import os
import time

import psycopg
from psycopg import sql

ROW_BYTES = 400  # About what an entry's payload is.


class NotDurable(RuntimeError):
    """The server answers before its log is on disk; numbers taken on it would be worth nothing."""


class Reference:
    """One connection that commits one prepared INSERT after the other, in a scratch schema of its own.

    database_url: of a role that may make a schema. Raises NotDurable for a server with fsync or
    synchronous_commit off.
    """

    def __init__(self, database_url: str) -> None:
        self.connection = psycopg.connect(database_url, autocommit=True)
        self.schema = sql.Identifier(f"bench_{os.getpid()}")
        self.server = f"Postgres {self.setting('server_version')}"

    def __enter__(self) -> "Reference":
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            if self.setting(name) != "on":
                raise NotDurable(f"{name} is {self.setting(name)} on the database server, not on")
        self.connection.execute(sql.SQL("create schema {}").format(self.schema))
        columns = sql.SQL("(n bigint generated always as identity primary key, payload bytea not null)")
        self.connection.execute(sql.SQL("create table {}.commits ").format(self.schema) + columns)
        return self

    def __exit__(self, *_: object) -> None:
        if not self.connection.closed:
            self.connection.execute(sql.SQL("drop schema {} cascade").format(self.schema))
            self.connection.close()

    def setting(self, name: str) -> str:
        """Return a setting as this server has it, such as "on"."""
        row = self.connection.execute("select current_setting(%s)", (name,)).fetchone()
        assert row
        return str(row[0])

    def measure(self, seconds: float) -> float:
        """Return commits a second, over so many seconds."""
        payload = os.urandom(ROW_BYTES)
        insert = sql.SQL("insert into {}.commits (payload) values (%b)").format(self.schema)
        statement = insert.as_string(self.connection)
        commits, clock = 0, time.perf_counter
        with self.connection.cursor() as cursor:
            started = clock()
            until = started + seconds
            while clock() < until:
                cursor.execute(statement, (payload,), prepare=True)
                commits += 1
            return commits / (clock() - started)

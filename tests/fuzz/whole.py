"""The tenant of a fuzz test from the inside: a token more, and when it is over one look at all that is promised."""

from ledger.reader import Reader
from ledger.tenants import issue_token
from projections.replay import replay
from tests.faults.audit import Counted, check_everything
from tests.running import Client, Service


def admin_token(service: Service, client: Client) -> str:
    """The secret of a token that may declare schemas."""
    with service.opened(client.slug) as (connection, tenant, vault):
        return issue_token(connection, tenant, vault, label="admin", scopes=["admin"], profile="lenient")[1]


def check_whole(service: Service, client: Client) -> Counted:
    """Check that positions are gapless, that rows are what entries say, and that a replay equals what is live."""
    with service.database() as server:
        counted = check_everything(server.superuser_url, client.slug)
    with service.opened(client.slug) as (connection, tenant, vault):
        replayed = replay(Reader(connection, tenant, vault))
    assert replayed.equal, replayed.differences[:3]
    return counted

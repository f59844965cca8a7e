"""Every verb of `./scim-ledger`. Each imports what it needs when it runs: `--help` answers at once."""

import sys
from typing import Annotated, NoReturn

from cyclopts import App, CycloptsError, Parameter

from cli.exits import ExitStatus, Failed

app = App(
    name="scim-ledger",
    help="The SCIM 2.0 endpoint that never forgets: every provisioning command an immutable event in Postgres.",
    version="0.1.0",
)

Flag = Annotated[str | None, Parameter(negative="")]


@app.command
def serve(
    *,
    host: Flag = None,
    port: Flag = None,
    data: Flag = None,
    database_url: Flag = None,
    keys: Flag = None,
    public_url: Flag = None,
    workers: Flag = None,
    trusted_proxies: Flag = None,
) -> None:
    """Start everything: Postgres unless a URL is given, the first tenant, the service; prints what to paste into Entra.

    Exit status: 0 stopped by SIGTERM or Ctrl-C, 1 cannot start, 2 usage.

    Parameters
    ----------
    host: address to listen on (127.0.0.1).
    port: port to listen on (8080).
    data: folder of the embedded Postgres, and of the keys unless they are elsewhere.
    database_url: Postgres 15 or newer to use instead of the embedded one.
    keys: folder of the keys. Back it up.
    public_url: what clients reach this service by, such as https://scim.example.com; links are made from it.
    workers: how many processes answer requests (1).
    trusted_proxies: how many proxies in front are yours and may tell a client's address (0).
    """
    from cli.serve import serve as run
    from ledger.config import read_config

    run(
        read_config(
            host=host, port=port, data=data, database_url=database_url, keys=keys, public_url=public_url,
            workers=workers, trusted_proxies=trusted_proxies,
        )
    )  # fmt: skip


def main() -> NoReturn:
    """Run the command line; every failure is one sentence on standard error and its exit status."""
    from cli.play import add_plays
    from cli.questions import add_questions
    from cli.verbs import add_verbs

    add_verbs(app)
    add_questions(app)
    add_plays(app)
    try:
        status = app(exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        sys.exit(_fail(str(error), ExitStatus.USAGE))
    except Failed as error:
        sys.exit(_fail(str(error), error.status))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        told = _expected(error)
        if told is None:
            raise
        sys.exit(_fail(*told))
    sys.exit(status if isinstance(status, int) else ExitStatus.DONE)


def _fail(sentence: str, status: ExitStatus) -> int:
    print(f"scim-ledger: {sentence.strip()}", file=sys.stderr)  # noqa: T201
    return int(status)


def _expected(error: Exception) -> tuple[str, ExitStatus] | None:
    """Return what to say of an error that is not a defect; None for one that is."""
    from ledger.config import BadConfiguration
    from ledger.connections import DatabaseUnreachable
    from ledger.migrations import MigrationError
    from ledger.server_errors import ServerFailed
    from ledger.tenants import TenantRefused
    from ledger.vault import KeysMissing

    if isinstance(error, BadConfiguration):
        return str(error), ExitStatus.USAGE
    if isinstance(error, (KeysMissing, MigrationError, ServerFailed, TenantRefused)):
        return str(error), ExitStatus.FAILED
    if isinstance(error, DatabaseUnreachable):
        return f"the database cannot be reached: {str(error).splitlines()[0]}", ExitStatus.FAILED
    return None

"""Every verb of `./scim-ledger`. Each imports what it needs when it runs: `--help` answers at once."""

import os
import signal
import sys
from collections.abc import Sequence
from functools import cache
from typing import Annotated, NoReturn

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter, UnusedCliTokensError

from cli.exits import ExitStatus, Failed
from cli.flags import Data, DatabaseUrl, Flag, KeysFolder, PublicUrl
from ledger.endings import Ending, Interruption

app = App(
    name="scim-ledger",
    help="The SCIM 2.0 endpoint that never forgets: every provisioning command an immutable event in Postgres.",
    version="0.1.0",
    suppress_keyboard_interrupt=False,  # `main` says which signal it was.
)

Number = Annotated[str | None, Parameter(negative="", metavar="N")]


@app.command
def serve(
    *,
    host: Flag = None,
    port: Number = None,
    data: Data = None,
    database_url: DatabaseUrl = None,
    keys: KeysFolder = None,
    public_url: PublicUrl = None,
    workers: Number = None,
    trusted_proxies: Number = None,
) -> None:
    """Start everything: Postgres unless a URL is given, the first tenant, the service; prints what to paste into Entra.

    Exit status: 0 stopped by SIGTERM or Ctrl-C, 1 cannot start, 2 usage.

    Args:
        host: Address to listen on (127.0.0.1).
        port: Port to listen on (8080).
        data: Folder of its own Postgres, and of the keys unless they are elsewhere.
        database_url: Postgres 15 or newer to use instead of its own.
        keys: Folder of the keys. Back it up.
        public_url: What clients reach this service by, such as https://scim.example.com; links are made from it.
        workers: How many processes answer requests (1).
        trusted_proxies: How many proxies in front are yours and may tell a client's address (0).
    """
    ending = Ending()
    from cli.serve import serve as run
    from ledger.config import read_config

    run(
        read_config(
            host=host, port=port, data=data, database_url=database_url, keys=keys, public_url=public_url,
            workers=workers, trusted_proxies=trusted_proxies,
        ),
        ending,
    )  # fmt: skip


def main() -> NoReturn:
    """Run the command line of this process."""
    _application()
    interruption = Interruption()  # A verb may have started the database for the moment: it has to stop it again.
    try:
        status = run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = interruption.status
    except BrokenPipeError:  # Whoever read the answer, such as `head`, had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 128 + signal.SIGPIPE
    sys.exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit status; every failure is one sentence on standard error."""
    try:
        status = _application()(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _fail(_misused(error), ExitStatus.USAGE)
    except Failed as error:
        return _fail(str(error), error.status)
    except Exception as error:
        told = _expected(error)
        if told is None:
            raise
        return _fail(*told)
    return status if isinstance(status, int) else ExitStatus.DONE


@cache
def _application() -> App:
    from cli.clients import add_clients
    from cli.entra_log import add_entra_log
    from cli.past import add_past
    from cli.play import add_plays
    from cli.questions import add_questions
    from cli.reports import add_reports
    from cli.schemas import add_schemas
    from cli.verbs import add_verbs

    add_verbs(app)
    add_clients(app)
    add_schemas(app)
    add_questions(app)
    add_entra_log(app)
    add_past(app)
    add_reports(app)
    add_plays(app)
    return app


def _fail(sentence: str, status: ExitStatus) -> int:
    print(f"scim-ledger: {sentence.strip()}", file=sys.stderr)  # noqa: T201
    return int(status)


def _misused(error: CycloptsError) -> str:
    """Return what is wrong with a command line, and where it is explained."""
    verb = " ".join(error.command_chain or ())
    if isinstance(error, UnusedCliTokensError):
        return (
            f"{verb} takes no {' '.join(error.unused_tokens or ())!r}; ./scim-ledger {verb} --help tells what it takes"
        )
    if isinstance(error, MissingArgumentError) and error.argument is not None and not error.argument.tokens:
        return f"{verb} needs {error.argument.name}; ./scim-ledger {verb} --help tells more"
    return str(error)


def _expected(error: Exception) -> tuple[str, ExitStatus] | None:
    """Return what to say of an error that is not a defect; None for one that is."""
    from ledger.config import BadConfiguration
    from ledger.connections import PRIVILEGE_MISSING, DatabaseError, DatabaseUnreachable, sqlstate
    from ledger.migrations import MigrationError
    from ledger.server_errors import ServerFailed
    from ledger.tenants import Malformed, TenantRefused
    from ledger.vault import KeysMissing

    if isinstance(error, (BadConfiguration, Malformed)):
        return str(error), ExitStatus.USAGE
    if isinstance(error, (KeysMissing, MigrationError, ServerFailed, TenantRefused)):
        return str(error), ExitStatus.FAILED
    if isinstance(error, DatabaseUnreachable):
        said = (str(error).strip().splitlines() or ["no reason was given"])[0].removeprefix("connection failed: ")
        return f"the database cannot be reached: {said}", ExitStatus.FAILED
    if isinstance(error, DatabaseError) and sqlstate(error) == PRIVILEGE_MISSING:
        said = str(error).splitlines()[0]
        return f"{said}; use the database URL of scim_ledger_app, or of the owner", ExitStatus.FAILED
    return None

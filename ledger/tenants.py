"""Tenants, their settings and their tokens: made, listed, changed. Each change is an entry of the tenant's ledger."""

import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
import psycopg
from msgspec import Struct
from msgspec.inspect import IntType, LiteralType, StructType, type_info
from msgspec.structs import replace
from psycopg.types.json import Jsonb

from domain.events import Event, SettingChanged, TokenIssued, TokenRevoked
from ledger.codec import encode_cause, encode_payload, seal_payload
from ledger.entry import TOKEN_RATE_MAX, TOKEN_RATE_MIN, Cause, Settings, Tenant, TenantId
from ledger.jobs import Job, NewEntry
from ledger.randomness import random_id
from ledger.single import append
from ledger.vault import Keys, Vault
from ledger.writer import Conflict

Connection = psycopg.Connection[Any]
SCOPES = ("scim", "audit", "admin")
OPERATOR = "operator"  # The actor of what is done on the command line.
SECRET_PREFIX = "slt_"  # noqa: S105  # 43 URL-safe characters follow. Contract.
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class TenantRefused(Exception):
    """A tenant or token cannot be made as asked; the text says why."""


class Malformed(TenantRefused):
    """No tenant or token could be as asked: the command line is wrong."""


class Token(Struct, frozen=True):
    """A bearer token as listed: never the secret. Times are UTC. user_id: whose /Me it is."""

    token_id: str
    label: str
    scopes: list[str]
    profile: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    user_id: str | None = None


def authority_of(public_url: str) -> str:
    """Return the host of the public URL (with a port that is not the scheme's), which new origins begin with."""
    parts = urlsplit(public_url)
    return parts.netloc.rpartition("@")[2].lower()


def origin_authority(connection: Connection, public_url: str | None) -> str:
    """Return what a new tenant's origin begins with: the public URL's host, else what the other tenants have.

    On an empty ledger without a public URL it is a random name.
    """
    if public_url is not None:
        return authority_of(public_url)
    others = list_tenants(connection)
    if others:
        return others[0].origin.rpartition("/t/")[0]
    return f"{secrets.token_hex(8)}.scim-ledger.invalid"


def create_tenant(connection: Connection, slug: str, *, authority: str, keys: Keys) -> Tenant:
    """Create a tenant with its own key and, for ever, its origin. Raises TenantRefused.

    Raises KeysMissing when the keys are not those of the tenants that are there: no folder would open them all.
    """
    if not SLUG.fullmatch(slug):
        raise Malformed(
            f"{slug!r} cannot name a tenant: use 1 to 63 lower-case letters, digits and hyphens, "
            "beginning and ending with a letter or digit"
        )
    origin = f"{authority}/t/{uuid4().hex}"
    with connection.transaction():
        only_maker(connection)
        if find_tenant(connection, slug) is not None:
            raise TenantRefused(f"there is a tenant {slug} already")
        if (first := connection.execute("select min(tenant_id) from tenants").fetchone()) and first[0] is not None:
            Vault.load(connection, first[0], keys)
        (tenant_id,) = connection.execute(
            "insert into tenants (tenant_id, slug, origin) "
            "select coalesce(max(tenant_id), 0) + 1, %s, %s from tenants returning tenant_id",
            (slug, origin),
        ).fetchone()  # type: ignore[misc]
        key_id, wrapped = Vault.make_tenant_key(tenant_id, keys)
        connection.execute(
            "insert into tenant_keys (tenant_id, key_id, wrapped) values (%s, %s, %s)",
            (tenant_id, key_id, wrapped),
        )
    return Tenant(TenantId(tenant_id), slug, origin)


def only_maker(connection: Connection) -> None:
    """Let nobody else make a tenant until this transaction ends: the next number is the highest plus one."""
    connection.execute("select pg_advisory_xact_lock(hashtext('scim-ledger tenants'))")


def has_tenants(connection: Connection) -> bool:
    """Whether anything was ever made here; also asked of a database without our tables."""
    if connection.execute("select to_regclass('tenants')").fetchone() == (None,):
        return False
    return connection.execute("select from tenants limit 1").fetchone() is not None


def find_tenant(connection: Connection, slug: str) -> Tenant | None:
    """Return the tenant of that name."""
    return next(iter(_tenants(connection, "where slug = %s", (slug,))), None)


def list_tenants(connection: Connection) -> list[Tenant]:
    """Return all tenants, by name."""
    return _tenants(connection, "order by slug", ())


def _tenants(connection: Connection, rest: str, parameters: Sequence[object]) -> list[Tenant]:
    query = "select tenant_id, slug, origin, settings from tenants " + rest  # noqa: S608  # Our own text.
    return [
        Tenant(TenantId(tenant_id), slug, origin, msgspec.convert(settings, Settings))
        for tenant_id, slug, origin, settings in connection.execute(query, parameters)
    ]


def opaque_id(tenant: Tenant) -> str:
    """The tenant's own id, as a UUID: the subject of entries about the tenant itself."""
    digits = tenant.origin.rpartition("/")[2]
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def issue_token(
    connection: Connection, tenant: Tenant, vault: Vault, *, label: str, scopes: Sequence[str],
    profile: str = "lenient", expires_at: datetime | None = None, user_id: str | None = None,
) -> tuple[str, str]:  # fmt: skip
    """Issue a token; returns (token id, secret). The secret is stored as its SHA-256 only: this is its one showing.

    user_id: of the user whose `/Me` it is.
    Raises TenantRefused when label, scopes or profile are not possible, or there is no such user.
    """
    check_grant("token", label, scopes, profile)
    token_id, (secret, secret_hash) = random_id(), new_secret(SECRET_PREFIX)
    event = TokenIssued(token_id, label, list(scopes), profile, expiry_text(expires_at), user_id)
    job = operator_job(tenant, vault, f"tokens/{token_id}", 1, token_id, event)
    if user_id is not None:
        job.existing.append((user_id, False))
    with connection.transaction():
        try:
            appended = append(connection, job)
        except Conflict:
            raise TenantRefused(f"tenant {tenant.slug} has no user {user_id}") from None
        connection.execute(
            "insert into tokens "
            "(tenant_id, token_id, secret_hash, label, scopes, profile, created_at, expires_at, user_id) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                tenant.tenant_id, token_id, secret_hash, label, list(scopes), profile, appended.recorded_at,
                expires_at, user_id,
            ),
        )  # fmt: skip
    return token_id, secret


def new_secret(prefix: str) -> tuple[str, bytes]:
    """Make a secret of 256 random bits; returns it and its SHA-256, which is all that may be stored."""
    secret = prefix + secrets.token_urlsafe(32)
    return secret, sha256(secret.encode()).digest()


def expiry_text(expires_at: datetime | None) -> str | None:
    """An expiry as events hold it."""
    return expires_at.astimezone(UTC).isoformat() if expires_at else None


def check_grant(holder: str, label: str, scopes: Sequence[str], profile: str) -> None:
    """Raise Malformed unless a token or client can have these. holder: which of them it is to be."""
    if not label.strip() or len(label) > 200 or not label.isprintable():
        raise Malformed(f"a {holder} needs a label of 1 to 200 printable characters")
    if not scopes or any(scope not in SCOPES for scope in scopes):
        raise Malformed(f"scopes are {', '.join(SCOPES)}; got {', '.join(scopes) or 'none'}")
    if profile not in ("lenient", "strict"):
        raise Malformed(f"profiles are lenient and strict; got {profile}")


def revoke_token(connection: Connection, tenant: Tenant, vault: Vault, token: str) -> Token:
    """Revoke a token by id or label. Raises TenantRefused when there is no such live token, or several."""
    with connection.transaction():
        lock_tenant(connection, tenant)
        live = [t for t in list_tokens(connection, tenant) if token in (t.token_id, t.label) and not t.revoked_at]
        revoked = the_only(live, f"tenant {tenant.slug}", "live token", token)
        stream, event = f"tokens/{revoked.token_id}", TokenRevoked(revoked.token_id)
        job = operator_job(tenant, vault, stream, 2, revoked.token_id, event)
        appended = append(connection, job)
        connection.execute(
            "update tokens set revoked_at = %s where tenant_id = %s and token_id = %s",
            (appended.recorded_at, tenant.tenant_id, revoked.token_id),
        )
    return replace(revoked, revoked_at=appended.recorded_at)


Named = TypeVar("Named")


def the_only(found: Sequence[Named], holder: str, kind: str, name: str) -> Named:
    """Return the one thing that a name means. Raises TenantRefused when there is none, or several."""
    if len(found) != 1:
        which = f"no {kind}" if not found else f"{len(found)} {kind}s, name one by its id:"
        raise TenantRefused(f"{holder} has {which} {name}".rstrip(":"))
    return found[0]


def list_tokens(connection: Connection, tenant: Tenant) -> list[Token]:
    """Return the tenant's tokens, oldest first; not the access tokens that clients have for an hour."""
    rows = connection.execute(
        "select token_id::text, label, scopes, profile, created_at, expires_at, revoked_at, last_used_at, "
        "user_id::text from tokens where tenant_id = %s and client_id is null order by created_at, token_id",
        (tenant.tenant_id,),
    )
    return [Token(*row) for row in rows]


def change_setting(connection: Connection, tenant: Tenant, vault: Vault, setting: str, value: Any) -> Tenant:
    """Change a tenant's setting. Raises TenantRefused with the reason when it cannot be.

    Unique group names are refused while there are duplicates; the text lists how many names and group ids.
    """
    if setting not in Settings.__struct_fields__:
        raise Malformed(f"there is no setting {setting}; there are {', '.join(Settings.__struct_fields__)}")
    with connection.transaction():
        settings = lock_tenant(connection, tenant)  # What the caller read may have been changed meanwhile.
        wanted = _with(settings, setting, value)
        before, after = getattr(settings, setting), getattr(wanted, setting)
        if before == after:
            return replace(tenant, settings=settings)
        if setting == "group_names_unique":
            _claim_group_names(connection, tenant, unique=after)
        version = stream_version(connection, tenant, "tenant") + 1
        event = SettingChanged(setting, before, after)
        append(connection, operator_job(tenant, vault, "tenant", version, opaque_id(tenant), event))
        connection.execute(
            "update tenants set settings = %s where tenant_id = %s",
            (Jsonb(msgspec.to_builtins(wanted)), tenant.tenant_id),
        )
    return replace(tenant, settings=wanted)


def lock_tenant(connection: Connection, tenant: Tenant) -> Settings:
    """Let nobody else write to the tenant's ledger until this transaction ends; return its settings as they are."""
    row: Any = connection.execute(
        "select settings from tenants where tenant_id = %s for no key update", (tenant.tenant_id,)
    ).fetchone()
    return msgspec.convert(row[0], Settings)


def _with(settings: Settings, setting: str, value: Any) -> Settings:
    try:
        return msgspec.convert({**msgspec.to_builtins(settings), setting: value}, Settings, strict=False)
    except msgspec.ValidationError:
        raise Malformed(f"{setting} cannot be {value!r}: it takes {_taken(setting)}") from None


def _taken(setting: str) -> str:
    """What a setting takes, in words."""
    if setting == "token_requests_per_second":
        return f"a whole number from {TOKEN_RATE_MIN} to {TOKEN_RATE_MAX:,}, or 0 for no limit"
    kinds = {field.name: field.type for field in cast("StructType", type_info(Settings)).fields}
    match kinds[setting]:
        case LiteralType(values=values):
            return " or ".join(map(str, values))
        case IntType(ge=least, le=most):
            return f"a whole number from {least} to {most:,}"
        case _:
            return "true or false"


def _claim_group_names(connection: Connection, tenant: Tenant, *, unique: bool) -> None:
    if unique:
        twice = connection.execute(
            "select array_agg(id::text order by created_position) from groups where tenant_id = %s "
            "group by name_key having count(*) > 1",
            (tenant.tenant_id,),
        ).fetchall()
        if twice:
            listed = "; ".join(", ".join(ids) for (ids,) in twice[:20])
            raise TenantRefused(f"{len(twice)} group names are held more than once; groups: {listed}")
    connection.execute(
        "update groups set unique_name_key = case when %s then name_key end where tenant_id = %s",
        (unique, tenant.tenant_id),
    )


def stream_version(connection: Connection, tenant: Tenant, stream: str) -> int:
    """Return how many entries a stream has."""
    row = connection.execute(
        "select stream_version from entries where tenant_id = %s and stream = %s order by stream_version desc limit 1",
        (tenant.tenant_id, stream),
    ).fetchone()
    return int(row[0]) if row else 0


def operator_job(tenant: Tenant, vault: Vault, stream: str, version: int, subject_id: str, *events: Event) -> Job:
    """Return the job of what an operator does: entries of a stream, of which the first is to be its `version`."""
    return job_of(tenant, vault, operator_cause(), stream, version, subject_id, *events)


def operator_cause() -> Cause:
    """The cause of what is done on the command line, now."""
    return Cause(request_id=random_id(), token_id=OPERATOR, received_at=datetime.now(UTC).isoformat())


def job_of(
    tenant: Tenant, vault: Vault, cause: Cause, stream: str, version: int, subject_id: str, *events: Event
) -> Job:  # fmt: skip
    """Return the job of entries about the tenant itself, under its own key; the first is to be the stream's `version`.

    cause: of the request; the first entry has all of it, the others its id.
    """
    job, key = Job(tenant.tenant_id, cause.request_id, cause.token_id), vault.tenant_key
    job.streams_at.append((stream, version - 1))
    for index, event in enumerate(events):
        part = replace(cause, count=len(events)) if index == 0 else Cause(cause.request_id, index, len(events))
        commitment, sealed = seal_payload(encode_payload(event, encode_cause(part)), key, tenant.origin, stream)
        job.entries.append(NewEntry(stream, version + index, event, subject_id, commitment, sealed, key.key_id))
    return job

"""Who is calling: a bearer token, its tenant and what it may do."""

import hmac
from collections import OrderedDict
from datetime import UTC, datetime
from hashlib import sha256
from time import monotonic

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from api.rates import Bucket, TokenRates
from domain.declarations import read_declarations, resource_types
from domain.errors import Forbidden, Unauthenticated
from domain.profiles import PROFILES, Profile
from domain.registry import ResourceTypes
from domain.schemas import STANDARD
from ledger.entry import Settings, Tenant, TenantId
from ledger.lookups import Lookups
from ledger.tenants import SECRET_PREFIX, SLUG
from ledger.vault import Keys, Vault

REUSE_S = 0.9  # From the look-up's start: a revocation takes effect within a second, without LISTEN.
_REMEMBERED = 10_000
_SECRET_CHARACTERS = len(SECRET_PREFIX) + 43


class Caller(Struct, frozen=True):
    """A token in use. types: what its tenant's resources can be.

    token_id: of an access token its client's id, which the ledger knows. user_id: whose /Me it is.
    bucket: how fast it may ask, where its tenant set a limit.
    """

    tenant: Tenant
    types: ResourceTypes
    vault: Vault
    token_id: str
    label: str
    scopes: frozenset[str]
    profile: Profile
    expires_at: datetime | None
    user_id: str | None = None
    bucket: Bucket | None = None

    def require(self, scope: str) -> None:
        """Raise Forbidden without the scope."""
        if scope not in self.scopes:
            raise Forbidden(f"this needs a token with the scope {scope}")


class Callers:
    """Turns an Authorization header into a `Caller`."""

    def __init__(self, lookups: Lookups, keys: Keys, workers: int) -> None:
        """workers: how many processes answer requests, this one included."""
        self._lookups = lookups
        self._keys = keys
        self._known: OrderedDict[tuple[str, bytes], tuple[float, Caller]] = OrderedDict()
        self._rates = TokenRates(workers)
        self._vaults: dict[tuple[int, str], Vault] = {}
        self._types: dict[int, tuple[int, ResourceTypes]] = {}  # tenant → (revision of its declarations, its types)
        self.used: dict[tuple[int, str], datetime] = {}  # (tenant, token) → last use; written in batches elsewhere.

    async def identify(self, slug: str, authorization: bytes | None) -> Caller:
        """Return who calls. Raises Unauthenticated, the same whatever is wrong: nothing is revealed."""
        secret = _bearer(authorization)
        if not SLUG.fullmatch(slug):
            raise Unauthenticated(presented=True)
        now = monotonic()
        known = self._known.get((slug, secret))
        if known is None or known[0] < now:
            caller = await self._look_up(slug, secret, now)
        else:
            caller = known[1]
        if caller.expires_at is not None and caller.expires_at <= datetime.now(UTC):
            raise Unauthenticated(presented=True)
        return caller

    async def _look_up(self, slug: str, secret: bytes, started: float) -> Caller:
        digest = sha256(secret).digest()
        row = await self._lookups.token(slug, digest)
        if row is None or row[-1] is not None:
            self._known.pop((slug, secret), None)
            raise Unauthenticated(presented=True)
        (
            tenant_id, origin, settings, revision, key_id, wrapped, token_id, label, scopes, profile, expires_at,
            user_id, _,
        ) = row  # fmt: skip
        vault = self._vaults.get((tenant_id, key_id))
        if vault is None:
            vault = self._vaults[tenant_id, key_id] = Vault.open(tenant_id, key_id, bytes(wrapped), self._keys)
        tenant = Tenant(TenantId(tenant_id), slug, origin, msgspec.convert(settings, Settings))
        types = STANDARD if revision == 0 else await self._declared(tenant_id, revision)
        read_as = replace(PROFILES[profile], reads_manager_id=tenant.settings.manager_id_as_value)
        scopes_held, bucket = frozenset(scopes), self._rates.of(tenant, token_id)
        caller = Caller(tenant, types, vault, token_id, label, scopes_held, read_as, expires_at, user_id, bucket)
        self._known[slug, secret] = (started + REUSE_S, caller)
        self.used[tenant_id, token_id] = datetime.now(UTC)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return caller

    async def _declared(self, tenant_id: int, revision: int) -> ResourceTypes:
        """The tenant's types, read again when its declarations have another revision than the known ones."""
        known = self._types.get(tenant_id)
        if known is None or known[0] != revision:
            types = resource_types(read_declarations(await self._lookups.declared(tenant_id)))
            known = self._types[tenant_id] = (revision, types)
        return known[1]


def _bearer(authorization: bytes | None) -> bytes:
    if authorization is None:
        raise Unauthenticated
    scheme, _, secret = authorization.partition(b" ")
    secret = secret.strip()
    if scheme.lower() != b"bearer" or not secret:
        raise Unauthenticated
    well_formed = len(secret) == _SECRET_CHARACTERS and hmac.compare_digest(
        secret[: len(SECRET_PREFIX)], SECRET_PREFIX.encode()
    )
    if not well_formed:
        raise Unauthenticated(presented=True)
    return secret

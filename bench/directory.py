"""A tenant full of made-up users, to measure in: who is in it, and how they got there."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec import Struct

from bench.load import Address, Call, Outcome, drive, one, request_bytes, resource_id

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
LOADERS = 64  # Connections while loading: big batches, few commits.
MEMBERS_A_REQUEST = 10_000  # A body of half a MiB; the service takes one MiB.

Progress = Callable[[int], None]  # Called with how many are there by now.


class NotLoaded(RuntimeError):
    """Loading met an answer that was not 201; measuring what is there would be measuring something else."""


class Directory(Struct, frozen=True):
    """A tenant under measurement.

    ids: of user 0, 1, 2, … as the service gave them; user n is named `user_name(n)`.
    scim, audit: the service's address with the headers of a token of that scope.
    """

    slug: str
    scim: Address
    audit: Address
    ids: list[str]

    def target(self, path: str) -> str:
        """Return the target of a request to this tenant's SCIM base."""
        return f"/scim/{self.slug}/v2/{path}"


def user_name(number: int) -> bytes:
    """Return the userName of user `number`; 21 bytes for every number below ten million."""
    return b"user%07d@ex.example" % number


def headers(token: str) -> bytes:
    """Return the header lines every request carries."""
    return (
        f"Authorization: Bearer {token}\r\nContent-Type: application/scim+json\r\n"
        "Accept: application/scim+json\r\nUser-Agent: scim-ledger-bench\r\n"
    ).encode()


def user_body(name: bytes, number: int) -> bytes:
    """Return a user as an identity provider creates one: names, e-mail, externalId, department."""
    return (
        b'{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User",'
        b'"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],'
        b'"userName":"%s","externalId":"%s","active":true,"displayName":"Load User %07d",'
        b'"name":{"givenName":"Load","familyName":"User %07d"},'
        b'"emails":[{"value":"%s","type":"work","primary":true}],'
        b'"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Department %02d"}}'
    ) % (name, name.split(b"@")[0], number, number, name, number % 40)


def posts(directory: Directory, names: Iterator[tuple[bytes, int]]) -> Iterator[Call]:
    """Yield one POST /Users for each name; every body has the same length, so the head is made once."""
    target = directory.target("Users")
    blank = request_bytes(directory.scim, "POST", target, user_body(user_name(0), 0))
    head = blank[: blank.index(b"\r\n\r\n") + 4]
    for name, number in names:
        yield Call(head + user_body(name, number), name)


def load_users(directory: Directory, count: int, progress: Progress) -> Outcome:
    """Create users over HTTP until there are `count`, and note their ids in `directory.ids`."""
    started = len(directory.ids)
    ids = directory.ids
    ids.extend(itertools.repeat("", count - started))
    seen = itertools.count(started + 1)

    def learn(call: Call, answer: bytes) -> None:
        ids[int(call.fragment[4:11])] = resource_id(answer)
        done = next(seen)
        if not done % 1000:
            progress(done)

    calls = posts(directory, ((user_name(n), n) for n in range(started, count)))
    outcome = drive(directory.scim, calls, connections=LOADERS, seconds=1e9, wanted=frozenset({201}), learn=learn)
    if outcome.bad or not all(ids):
        raise NotLoaded(f"{outcome.bad} of {count} users were not created: {outcome.first_bad}")
    return outcome


def add_members(directory: Directory, group_id: str, members: Sequence[str]) -> bytes:
    """Return a PATCH that adds these members, in the canonical form of RFC 7644 §3.5.2.1."""
    operation = {"op": "add", "path": "members", "value": [{"value": member} for member in members]}
    body = msgspec.json.encode({"schemas": [PATCH_OP], "Operations": [operation]})
    return request_bytes(directory.scim, "PATCH", directory.target(f"Groups/{group_id}"), body)


def _group_request(directory: Directory, name: str, members: Sequence[str]) -> bytes:
    resource = {"schemas": [GROUP], "displayName": name, "members": [{"value": member} for member in members]}
    return request_bytes(directory.scim, "POST", directory.target("Groups"), msgspec.json.encode(resource))


def new_group(directory: Directory, name: str, members: Sequence[str], progress: Progress) -> str:
    """Make one group with these members, in requests of at most 10,000; return its id."""
    wanted, answer = 201, b""
    status, answer = one(directory.scim, _group_request(directory, name, members[:MEMBERS_A_REQUEST]))
    if status == wanted:
        group_id = resource_id(answer)
        for start in range(MEMBERS_A_REQUEST, len(members), MEMBERS_A_REQUEST):
            some = members[start : start + MEMBERS_A_REQUEST]
            status, answer = one(directory.scim, add_members(directory, group_id, some))
            if status not in (200, 204):
                break
            progress(start + len(some))
        else:
            return group_id
    raise NotLoaded(f"group {name} was not filled: {answer[:300].decode(errors='replace')}")


def new_groups(directory: Directory, names: Sequence[str], members: Sequence[Sequence[str]]) -> list[str]:
    """Make many small groups at once; return their ids in the order of the names."""
    ids = dict.fromkeys(names, "")

    def learn(call: Call, answer: bytes) -> None:
        ids[call.fragment.decode()] = resource_id(answer)

    calls = (
        Call(_group_request(directory, name, some), name.encode()) for name, some in zip(names, members, strict=True)
    )
    outcome = drive(directory.scim, calls, connections=LOADERS, seconds=1e9, wanted=frozenset({201}), learn=learn)
    if outcome.bad:
        raise NotLoaded(f"{outcome.bad} of {len(names)} groups were not made: {outcome.first_bad}")
    return list(ids.values())

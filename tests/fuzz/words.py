"""What wrong requests are made of: values, names, filters, paths and JSON texts that something may stumble over."""

import json
from random import Random
from typing import Any

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
MESSAGES = "urn:ietf:params:scim:api:messages:2.0:"

TEXTS = (
    "", " ", "a", "ada", "True", "false", "null", "0", "-1", "\0", "a\0b", "\ud800", "\udfff\ud800", "\ufeff", "\uffff",
    "\U0010ffff", "İstanbul", "ß", "ﬁ", "Ǆ", "e\u0301", "\u0301" * 50, "\u202eabc", "\u200b", "👩‍👩‍👧‍👧", "٣", "½",
    "\x7f\x80\x9f",
    "\r\n", "\t", '"', '\\"', "\\", "'", "%", "%00", "_", "*", "';--", "$$", "{}", "[]", "(", "a" * 300, "ü" * 20_000,
    "2026-03-31T23:59:59Z", "2026-13-31T99:99:99Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999-23:59",
    "AAAA", "A", "====", "bulkId:a", "bulkId:", "urn:", USER, "../../Users", "http://[::1", "/Users/", "Users/x",
    "Ａda",
)  # fmt: skip
NUMBERS = (
    "0", "-0", "1", "-1", "1.0", "0.1", "1e5", "1E400", "-1e999", "1e-999", "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809", "1" * 40, "1" * 5_000, "0.1e1", "123456789012345678901234567890.5", "2147483648",
)  # fmt: skip
ATTRIBUTES = (
    "userName", "externalId", "id", "active", "name", "name.familyName", "emails", "emails.value", "emails.type",
    "emails.primary", "displayName", "members", "members.value", "members.$ref", "groups", "groups.value", "meta",
    "meta.created", "meta.lastModified", "meta.version", "meta.location", "password", "schemas", "title",
    "photos.value",
    "x509Certificates.value", "x509Certificates", "addresses", "addresses.country", "roles.primary", "nope",
    "name.nope",
    "emails.value.x", f"{ENTERPRISE}:manager", f"{ENTERPRISE}:manager.value", f"{ENTERPRISE}.department", ENTERPRISE,
    f"{USER}:userName", f"{GROUP}:members", f"{ENTERPRISE}:nope", "manager.displayName", "department", "$ref", "a.b.c",
    "é", "a b", "", "urn:x:y", "USERNAME", "emails[", "profileUrl", "locale", "entitlements", "value", "type",
    "primary",
)  # fmt: skip
OPERATORS = ("eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "EQ", "Co", "==", "regex", "pr", "")
OPS = ("add", "remove", "replace", "Add", "REPLACE", "move", "test", "", "copy")


class Words:
    """Draws from the tuples above and builds greater things of them. chance: of everything it chooses."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.ids: list[str] = ["00000000-0000-4000-8000-000000000000"]

    def likely(self, probability: float) -> bool:
        """Say yes as often as that."""
        return self.chance.random() < probability

    def text(self) -> str:
        """A string."""
        if self.likely(0.2):
            return "".join(chr(self.chance.choice((self.chance.randrange(1, 128), 0x3B1, 0x1F600))) for _ in range(8))
        return self.chance.choice(TEXTS)

    def id(self) -> str:
        """Mostly the id of a resource."""
        return self.chance.choice(self.ids) if self.likely(0.8) else self.text()

    def value(self, depth: int = 3) -> Any:
        """A JSON value; a number stands as `Number`, since JSON has more of them than Python."""
        kind = self.chance.randrange(8 if depth else 5)
        if kind <= 1:
            return self.text()
        if kind == 2:
            return Number(self.chance.choice(NUMBERS))
        if kind <= 4:
            return self.chance.choice((True, False, None, self.id()))
        if kind == 5:
            return [self.value(depth - 1) for _ in range(self.chance.randrange(4))]
        return {self.name(): self.value(depth - 1) for _ in range(self.chance.randrange(4))}

    def name(self) -> str:
        """The name of an attribute, or of none."""
        name = self.chance.choice(ATTRIBUTES) if self.likely(0.9) else self.text()
        return name.swapcase() if self.likely(0.1) else name

    def literal(self) -> str:
        """What stands right of an operator."""
        kind = self.chance.randrange(5)
        if kind <= 1:
            return json.dumps(self.text(), ensure_ascii=self.likely(0.5))
        if kind == 2:
            return json.dumps(self.id())
        return self.chance.choice((*NUMBERS, "true", "false", "null", "True", "bare", "'a'", '"', ""))

    def filter(self, depth: int = 3) -> str:
        """A filter, or nearly one."""
        kind = self.chance.randrange(7) if depth else 0
        if kind <= 2:
            operator = self.chance.choice(OPERATORS)
            text = f"{self.name()} {operator}" + ("" if operator == "pr" else f" {self.literal()}")
        elif kind == 3:
            text = (
                f"{self.filter(depth - 1)} {self.chance.choice(('and', 'or', 'AND', 'xor'))} {self.filter(depth - 1)}"
            )
        elif kind == 4:
            text = f"not{self.chance.choice((' ', ''))}({self.filter(depth - 1)})"
        elif kind == 5:
            text = f"{self.name()}[{self.filter(depth - 1)}]" + self.chance.choice(("", "", ".value", ' eq "a"'))
        else:
            text = "(" * (deep := self.chance.choice((1, 2, 60, 3_000))) + self.filter(0) + ")" * deep
        return self.bent(text, 0.05)

    def path(self) -> str:
        """The path of a PATCH operation, or nearly one."""
        text = self.name()
        if self.likely(0.3):
            text = f"{text}[{self.filter(1)}]" + self.chance.choice(("", ".value", ".type", ".nope", ".", "[0]"))
        return self.bent(text, 0.05)

    def bent(self, text: str, probability: float) -> str:
        """The text, perhaps with one character taken out, doubled, or replaced."""
        if not text or not self.likely(probability):
            return text
        at = self.chance.randrange(len(text))
        instead = self.chance.choice(("", text[at] * 2, "\0", '"', "\\", "(", ")", "]", ".", ":", "\ud800", "é", " "))
        return text[:at] + instead + text[at + 1 :]

    def json_text(self, value: Any) -> bytes:
        """The value as JSON, perhaps in another spelling, perhaps spoilt."""
        text = _spelled(value, self.likely(0.5))
        if self.likely(0.04):
            text = self.bent(text, 1)
        raw = text.encode("utf-8", "surrogatepass")
        if self.likely(0.03):
            at = self.chance.randrange(len(raw) + 1)
            raw = self.chance.choice((
                raw[:at], raw[:at] + b"\xff" + raw[at:], b"\xef\xbb\xbf" + raw, raw + raw, b"",
                b"[" * 2_000, raw + b"\0",
                b'{"a":' * 3_000, raw.decode("utf-8", "replace").encode("utf-16"), b"NaN", b"null", b"[" + raw + b"]",
            ))  # fmt: skip
        return raw


class Number(str):
    """A number as it is written."""


def _spelled(value: Any, ascii_only: bool) -> str:
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        members = (
            f"{json.dumps(name, ensure_ascii=ascii_only)}:{_spelled(part, ascii_only)}" for name, part in value.items()
        )
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_spelled(part, ascii_only) for part in value) + "]"
    return json.dumps(value, ensure_ascii=ascii_only)

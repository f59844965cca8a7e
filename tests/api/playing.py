"""A golden file of a client, played: what it sends, how we read it, what is recorded, what we answer.

A file names the rows it keeps, who was seen sending this, the resources that are there before (`given`), and then as
style.md has it: request, canonical, events, response. Ids stand as `{name}` in it: those of `given` by their name
there, that of a resource the request made as `{new}`. `{base}` is the tenant's SCIM base. Of an answer everything
is compared but `meta`, of its headers those that the file names.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from speaking import GROUP, USER, Json, Speaker, eventually

from domain import schemas
from domain.applying import Patch, Step
from domain.expressions import print_expression
from domain.filters import parse_filter
from domain.patches import read_patch
from domain.profiles import PROFILES, Profile
from domain.resources import read_resource

CLIENTS = Path(__file__).resolve().parent.parent / "golden" / "clients"
TYPES = {"Users": schemas.USER, "Groups": schemas.GROUP}


def golden(name: str) -> Json:
    """The file of that name, `entra/boolean_strings`."""
    read: Json = json.loads((CLIENTS / f"{name}.json").read_text())
    return read


def names() -> list[str]:
    """Every file by its name."""
    return sorted(f"{path.parent.name}/{path.stem}" for path in CLIENTS.glob("*/*.json"))


# --- how we read it


def canonical(request: Json, profile: Profile) -> Json:
    """The request in SCIM's own words: what is left of it once every deviation is repaired."""
    url = urlsplit(request["path"])
    resource_type = TYPES[url.path.strip("/").partition("/")[0]]
    if request["method"] == "GET":
        asked = parse_qs(url.query).get("filter")
        return {"filter": print_expression(parse_filter(asked[0], (resource_type,)).of(resource_type))} if asked else {}
    if request["method"] == "PATCH":
        patch = read_patch(request["body"], resource_type, profile)
        return {"Operations": [*map(_operation, patch.steps), *_member_operations(patch)]}
    reading = read_resource(request["body"], resource_type, profile)
    members = {} if reading.members is None else {"members": list(reading.members)}
    return {**reading.resource, **members}


def _operation(step: Step) -> Json:
    place, extension = step.path.place, step.path.extension
    if place is None:
        assert extension is not None
        return {"op": step.op, "path": extension.id}
    path = place.path
    if step.path.expression is not None:
        inside = print_expression(step.path.expression, bare=True)
        head = schemas.Place(place.extension, place.attribute).path
        path = f"{head}[{inside}]" + (f".{place.sub.name}" if place.sub else "")
    return {"op": step.op, "path": path} | ({} if step.op == "remove" and step.value is None else {"value": step.value})


def _member_operations(patch: Patch) -> list[Json]:
    change = patch.members
    if change is None:
        return []
    joining = [member_id for member_id, wanted in change.present.items() if wanted]
    leaving = [member_id for member_id, wanted in change.present.items() if not wanted]
    told = [("replace", joining)] if change.clear else [("remove", leaving), ("add", joining)]
    return [{"op": op, "path": "members", "value": ids} for op, ids in told if ids or change.clear]


# --- what becomes of it


class Played:
    """One file played against a tenant of its own: `canonical`, `events`, `quirks`, `ignored` and `response`."""

    def __init__(self, service: Any, file: Json) -> None:
        profile = file.get("profile", "lenient")
        self.speaker = Speaker(service, profile)
        self.names: dict[str, str] = {}
        for name, body in file.get("given", {}).items():
            self._make(name, body)
        self.canonical = None
        if "canonical" in file:
            self.canonical = self._told(canonical(self._filled(file["request"]), PROFILES[profile]))
        beginning = max((self._size(resource_id) for resource_id in self.names), default=0)
        answer = self._send(file["request"])
        body = answer.json() if answer.content else None
        if answer.status_code == 201:
            self.names.setdefault(body["id"], "{new}")
        self.response: Json = {"status": answer.status_code}
        if headers := file["response"].get("headers"):
            self.response["headers"] = {name: self._told(answer.headers.get(name)) for name in headers}
        if body is not None:
            self.response["body"] = self._told(_without_meta(body))
        self.events, self.quirks, self.ignored = self._recorded(beginning, answer)

    def _make(self, name: str, body: Json) -> None:
        endpoint, schema = ("/Users", USER) if "userName" in body else ("/Groups", GROUP)
        made = self.speaker.post(endpoint, self._filled({"schemas": [schema], **body}))
        self.names[made["id"]] = f"{{{name}}}"

    def _send(self, request: Json) -> httpx.Response:
        request = self._filled(request)
        return self.speaker.send(
            request["method"], request["path"], request.get("body"), headers=request.get("headers", {})
        )

    def _size(self, subject: str) -> int:
        return int(self.speaker.asked("/history", subject=subject)["size"])

    def _recorded(self, beginning: int, answer: httpx.Response) -> tuple[list[Json], list[str], list[str]]:
        """The events since then about anybody the file names, and what the request's cause says of deviations."""
        changes: dict[int, Json] = {}
        requests: dict[str, Json] = {}
        for subject in self.names:
            for told in self.speaker.asked("/history", subject=subject)["histories"]:
                changes |= {each["position"]: each for each in told["changes"] if each["position"] >= beginning}
                requests |= told["requests"]
        if not changes and answer.status_code >= 400:  # About nobody: the log tells of it.
            (record,) = eventually(lambda: self.speaker.log(status="failure")["records"])
            return [{"type": "RequestRefused"}], record["quirks"], record["ignored"]
        events = [self._told(_event(changes[position])) for position in sorted(changes)]
        cause = requests.get(changes[min(changes)]["request_id"], {}) if changes else {}
        return events, cause.get("quirks", []), cause.get("ignored", [])

    def _filled(self, value: Any) -> Any:
        """The value with every `{name}` replaced by the id it stands for."""
        text = json.dumps(value)
        for resource_id, name in self.names.items():
            text = text.replace(name, resource_id)
        return json.loads(text)

    def _told(self, value: Any) -> Any:
        """The value as a file would write it."""
        text = json.dumps(value)
        for resource_id, name in self.names.items():
            text = text.replace(resource_id, name)
        return json.loads(text.replace(f"{self.speaker.service.base_url}{self.speaker.base}", "{base}"))


def _event(change: Json) -> Json:
    """A change as the audit API tells it, without what belongs to its entry."""
    ours = ("position", "at", "request_id", "version", "event", "group_name")
    return {"type": change["event"], **{name: value for name, value in change.items() if name not in ours}}


def _without_meta(body: Json) -> Json:
    shown = {name: value for name, value in body.items() if name != "meta"}
    if "Resources" in shown:
        shown["Resources"] = [_without_meta(resource) for resource in shown["Resources"]]
    return shown

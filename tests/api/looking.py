"""An auditor who looks back: SCIM as of a moment, with the auditor's token."""

import json
from typing import Any

import httpx
from speaking import SCIM_JSON, Json, Speaker, checked
from walking import query_of

from tests.running import NO_TLS


class Past(Speaker):
    """A tenant, and an auditor who asks its SCIM endpoint."""

    def back(self, path: str, method: str = "GET", body: Json | None = None, **asked: Any) -> httpx.Response:
        """A request with the auditor's token."""
        headers = {"Authorization": self.audit.headers["Authorization"], "Content-Type": SCIM_JSON}
        url = f"{self.service.base_url}{self.base}{path}{query_of(**asked) if asked else ''}"
        content = json.dumps(body) if body else None
        return checked(httpx.request(method, url, headers=headers, content=content, verify=NO_TLS))

    def size(self) -> int:
        """How many entries there are."""
        return int(self.asked("/log", count=1)["size"])

"""What Litestar refuses by itself, in the words of the endpoints beside it: no such path, method, or room for a body.

SCIM is answered in front of it, and has refusals of its own.
"""

from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException

from api import audit, oauth
from api.query import QUERY_BYTES_MAX
from domain.errors import UriTooLong

# Ours, because Litestar's name its exceptions or repeat what was sent; for other statuses they have to do.
_SENTENCES = {
    404: "there is nothing at this path",
    405: "the method is not possible here; the header Allow tells which are",
    413: "the body is larger than this endpoint takes",
    414: f"a query string may have {QUERY_BYTES_MAX} bytes",
    500: "an internal error; the operator finds it in the log",
}


def refusal(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer an error that no handler caught: as RFC 6749 §5.2 shapes it below /oauth, else JSON with one sentence."""
    status, headers, sentence = 500, dict[str, str](), _SENTENCES[500]
    if isinstance(error, HTTPException):
        status, headers = error.status_code, dict(error.headers or {})
        sentence = _SENTENCES.get(status, error.detail)
    return told(request.scope["path"], status, sentence, headers)


def told(path: str, status: int, sentence: str, headers: dict[str, str] | None = None) -> Response[bytes]:
    """Return a refusal beside SCIM, as what is asked at this path says it."""
    if path.split("/")[1:2] == ["oauth"]:
        code = "invalid_request" if status < 500 else "server_error"
        return oauth.failed(status, code, sentence, headers or {})
    return audit.failed(status, sentence, headers)


async def refuse_long_query(request: Request[Any, Any, Any]) -> None:
    """Refuse a query string beyond the limit that SCIM has, before a handler is asked."""
    if len(request.scope["query_string"]) > QUERY_BYTES_MAX:
        raise HTTPException(status_code=UriTooLong.status)

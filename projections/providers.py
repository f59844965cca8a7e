"""Which identity provider a request seems to come from, and where its own log is. Pure."""

from projections.story import RequestTold

_SOFTWARE = (("okta", "Okta"), ("azure", "Entra"), ("microsoft", "Entra"), ("entra", "Entra"))


def provider(request: RequestTold | None) -> str:
    """Return Entra or Okta where a request's headers say so; else nothing."""
    if request is None:
        return ""
    if request.activity_id or any(name.lower() == "adscimversion" for name in request.correlation):
        return "Entra"
    return of_software(request.user_agent)


def of_software(user_agent: str) -> str:
    """Return Entra or Okta by what the client calls its software."""
    software = user_agent.lower()
    return next((name for part, name in _SOFTWARE if part in software), "")

"""/api/{tenant}: the auditors' and admins' questions."""

from litestar.types import ControllerRouterHandler

AUDIT_HANDLERS: list[ControllerRouterHandler] = []

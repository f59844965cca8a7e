"""Bodies that are files: laid down as they come, on the disk when they are large."""

from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from litestar import Request

_IN_MEMORY_BYTES = 1 << 20


async def laid_down(request: Request[Any, Any, Any]) -> BinaryIO:
    """Return a request's body as a file, to be closed by the caller. Litestar raises when it is longer than allowed."""
    body = SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115  # Whoever asked for it closes it.
    async for chunk in request.stream():
        body.write(chunk)
    body.seek(0)
    return cast("BinaryIO", body)

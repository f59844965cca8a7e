"""POST /api/{tenant}/entra-log: an export of Entra's provisioning log is taken in.

That needs a token with the scope `admin`: what it says becomes part of the answers to others.
"""

from typing import BinaryIO, cast

from litestar import MediaType, Response, post
from litestar.datastructures import UploadFile
from litestar.exceptions import HTTPException

from api.audit import Asked, answering, asking, calling, in_thread
from api.exchange import Exchange
from api.files import laid_down
from api.recording import Recording, refused
from domain.errors import InvalidValue, PayloadTooLarge, ScimError
from ledger.reader import Reader
from ledger.single import append
from projections.entra_import import Imported, import_export
from projections.files import BadFile

_NO_FORM = "the body is no multipart/form-data that can be read"
BODY_BYTES_MAX = 256 * 1024 * 1024  # Some hundred thousand rows; a portal's export has 100,000 at most.
_IMPORT_S = 600.0
_FILES_MAX = 8


@post(
    "/api/{slug:str}/entra-log", media_type=MediaType.JSON, status_code=200, request_max_body_size=BODY_BYTES_MAX
)  # fmt: skip
async def take_in(request: Asked, slug: str) -> Response[bytes]:
    """Take in an export: JSON or one CSV file as the body, or several files as multipart/form-data."""
    return await answering(_take_in(request, slug))


async def _take_in(request: Asked, slug: str) -> Imported:
    proxies = request.app.state.service.config.trusted_proxies
    exchange = Exchange(request.scope, request.receive, request.send, proxies)
    caller = exchange.caller = await calling(request, slug)
    files: list[BinaryIO] = []
    try:
        caller.require("admin")
        files = await _files(request)

        def taken(reader: Reader) -> Imported:
            named = [(f"file {index}", file) for index, file in enumerate(files, 1)]
            try:
                return import_export(reader, named, Recording(exchange, 200).cause)
            except BadFile as error:
                raise InvalidValue(str(error)) from None

        told: Imported = await in_thread(request, caller, asking(taken), answer_s=_IMPORT_S)
        return told
    except ScimError as error:
        refusal = error  # What reached the tenant and was to change something leaves an entry, done or not.
        await in_thread(request, caller, asking(lambda reader: append(reader.connection, refused(exchange, refusal))))
        raise
    finally:
        for file in files:
            file.close()


async def _files(request: Asked) -> list[BinaryIO]:
    """Lay the request's files down, on the disk when they are large. Raises InvalidValue, PayloadTooLarge."""
    try:
        if request.content_type[0] == "multipart/form-data":
            parts = [part for _, part in (await request.form()).multi_items()]
            files = [cast("BinaryIO", part.file) for part in parts if isinstance(part, UploadFile)]
            if not 0 < len(files) == len(parts) <= _FILES_MAX:
                raise InvalidValue(f"send 1 to {_FILES_MAX} files, and nothing besides them")
            return files
        return [await laid_down(request)]
    except HTTPException as error:
        if error.status_code == PayloadTooLarge.status:
            raise PayloadTooLarge(f"an export may have {BODY_BYTES_MAX} bytes at most") from None
        raise InvalidValue(_NO_FORM) from None
    except UnicodeDecodeError:  # A part's name: Litestar takes it for UTF-8.
        raise InvalidValue(_NO_FORM) from None

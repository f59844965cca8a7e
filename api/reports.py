"""/api/{tenant}/reports: what an auditor takes away; a token with the scope `audit` asks for it.

Making one is an entry of the ledger, whichever way it ends. The first piece is made before the answer begins, so that
what cannot be asked for is refused with a status; what fails later breaks the answer off, and its footer is missing.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import BinaryIO

from litestar import MediaType, Response, get, post
from litestar.exceptions import HTTPException
from litestar.response import Stream

from api.audit import Asked as Request
from api.audit import answered, calling, or_failure
from api.exchange import Exchange
from api.files import laid_down
from api.recording import Recording
from api.service import Service
from domain.errors import InvalidValue, PayloadTooLarge
from ledger.connections import DatabaseUnreachable
from ledger.reader import Reader
from ledger.writer import Unreachable
from projections.moments import moment
from projections.reports.catalog import FORMATS, described, known_report
from projections.reports.formats import Format
from projections.reports.frame import Asked, Report
from projections.reports.making import Making, by_whom

FILE_BYTES_MAX = 64 * 1024 * 1024  # Some hundred thousand people.
_OURS = ("asOf", "from", "to", "format", "rowsOnly")
_VALUES_MAX = 100


@get("/api/{slug:str}/reports", media_type=MediaType.JSON)
async def list_reports(request: Request, slug: str) -> Response[bytes]:
    """Return which reports there are, with what each may be asked for and its columns."""
    return await answered(request, slug, "audit", lambda service, caller: described())


@get("/api/{slug:str}/reports/{name:str}", media_type=MediaType.JSON)
async def make_report(request: Request, slug: str, name: str) -> Response[bytes] | Stream:
    """Make a report: asOf, or from and to; format, rowsOnly, and the report's own parameters; streamed."""
    return await or_failure(_made(request, slug, name, with_file=False))


@post(
    "/api/{slug:str}/reports/{name:str}", media_type=MediaType.JSON, status_code=200,
    request_max_body_size=FILE_BYTES_MAX,
)  # fmt: skip
async def make_report_beside_file(request: Request, slug: str, name: str) -> Response[bytes] | Stream:
    """Make a report that lays the ledger beside the file in the body, such as Personnel's leavers."""
    return await or_failure(_made(request, slug, name, with_file=True))


REPORT_HANDLERS = [list_reports, make_report, make_report_beside_file]


async def _made(request: Request, slug: str, name: str, *, with_file: bool) -> Stream:
    service: Service = request.app.state.service
    exchange = Exchange(request.scope, request.receive, request.send, service.config.trusted_proxies)
    caller = exchange.caller = await calling(request, slug)
    caller.require("audit")
    report, written, rows_only = known_report(name), _format(request), _rows_only(request)
    file = await _file(request, report) if with_file else None
    try:
        asked = _asked(request, file)
        cause = Recording(exchange, 200).cause

        def tell(reader: Reader) -> Iterator[bytes]:
            by = by_whom(caller.token_id, caller.label)
            yield from Making(reader, report, asked, written, cause, by=by, rows_only=rows_only).pieces()

        pieces = await _begun(service.stream(caller, tell), file)
    except BaseException:
        if file is not None:
            file.close()
        raise
    headers = {
        "content-type": written.media_type,  # As a header: of a streamed answer the handler's own type would win.
        "content-disposition": f'attachment; filename="{slug}-{report.name}.{written.extension}"',
    }
    return Stream(pieces, headers=headers)


async def _begun(pieces: AsyncGenerator[bytes, None], file: BinaryIO | None) -> AsyncIterator[bytes]:
    """Begin to make it: what it raises at first is raised here. The file is closed in the end."""
    try:
        first = await anext(pieces, b"")
    except DatabaseUnreachable:
        raise Unreachable("the database cannot be reached") from None

    async def all_pieces() -> AsyncIterator[bytes]:
        try:
            yield first
            async for piece in pieces:
                yield piece
        finally:
            await pieces.aclose()
            if file is not None:
                file.close()

    return all_pieces()


async def _file(request: Request, report: Report) -> BinaryIO:
    if not report.takes_file:
        raise InvalidValue(f"{report.name} is not laid beside a file: ask for it with GET")
    try:
        return await laid_down(request)
    except HTTPException as error:
        if error.status_code == PayloadTooLarge.status:
            raise PayloadTooLarge(f"the file may have {FILE_BYTES_MAX} bytes at most") from None
        raise


def _asked(request: Request, file: BinaryIO | None) -> Asked:
    query = request.query_params
    parameters: dict[str, list[str]] = {}
    for name, value in query.multi_items():
        if name not in _OURS:
            parameters.setdefault(name, []).append(value)
    if sum(map(len, parameters.values())) > _VALUES_MAX:
        raise InvalidValue(f"a report takes {_VALUES_MAX} values at most")
    as_of, since, until = (moment(query.get(name), name) for name in _OURS[:3])
    return Asked(as_of, since, until, parameters, file)


def _format(request: Request) -> Format:
    name = request.query_params.get("format", "csv")
    if name not in FORMATS:
        raise InvalidValue(f"format is one of {', '.join(FORMATS)}")
    return FORMATS[name]()


def _rows_only(request: Request) -> bool:
    text = request.query_params.get("rowsOnly", "false")
    if text not in ("true", "false"):
        raise InvalidValue("rowsOnly is true or false")
    return bool(text == "true")

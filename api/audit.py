"""/api/{tenant}: the auditors' and admins' questions, in JSON; a token with the scope `audit` asks them."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.response import Stream

from api.caller import Caller
from api.service import ANSWER_S, Service
from domain.errors import InvalidValue, ScimError, Unavailable
from domain.ids import is_id
from ledger.reader import Reader
from ledger.writer import Unreachable
from projections import answers, entra_report, received
from projections import asking as why_asking
from projections.difference_words import as_json
from projections.differences import Differences, moments
from projections.log import ACTIONS, STATUSES, NoSuchRun
from projections.moments import moment, past_moment, period
from projections.rhythm import NoSuchClient
from projections.subjects import NoSuchSubject, absence
from projections.whole import story

_COUNT = 50  # Of what a page shows, where nobody says.
_encode = msgspec.json.Encoder().encode
Asked = Request[Any, Any, Any]
Work = Callable[[Service, Caller], Any]
_Answer = TypeVar("_Answer")


@get("/api/{slug:str}/why", media_type=MediaType.JSON)
async def why(request: Asked, slug: str) -> Response[bytes]:
    """Say why a subject is deprovisioned, or is not, or never came; `text` is for people.

    group, attribute: only about these. id: only of this record. others=true: with the others of a mass change.
    """

    def answer(reader: Reader) -> Any:
        about = request.query_params
        asked = why_asking.Asked(
            record=_text(about.get("id"), "id") or "",
            group=_text(about.get("group"), "group") or "",
            attribute=_text(about.get("attribute"), "attribute") or "",
            others=_one_of(about.get("others"), "others", ("true", "false")) == "true",
        )
        told = why_asking.why(reader, _subject(request), asked)
        body = {**msgspec.to_builtins(told), "text": story(told)}
        if told.absent is not None and not told.absent.is_told_of:
            return Response(
                _encode({"error": absence(slug, told.subject), **body}), status_code=404, media_type=MediaType.JSON
            )
        return body

    return await _answered(request, slug, answer)


@get("/api/{slug:str}/requests/{request_id:str}", media_type=MediaType.JSON)
async def show_request(request: Asked, slug: str, request_id: str) -> Response[bytes]:
    """Return one request: what was sent, as received, what was decided, what it changed and what was answered."""

    def answer(reader: Reader) -> Any:
        wanted = request_id.lower()
        if not is_id(wanted):
            raise InvalidValue("a request id is a UUID, as why, history and log show it")
        shown = received.show_request(reader, wanted)
        return {**msgspec.to_builtins(shown), "text": received.request(shown)}

    return await _answered(request, slug, answer)


@get("/api/{slug:str}/history", media_type=MediaType.JSON)
async def history(request: Asked, slug: str) -> Response[bytes]:
    """Return the newest entries about a subject, in order, old and new values included: subject, count, before."""
    asked = request.query_params

    def answer(reader: Reader) -> Any:
        count, before = _number(asked.get("count"), "count", least=1), _number(asked.get("before"), "before")
        return answers.history(reader, _subject(request), count=count or answers.HISTORY_COUNT, before=before)

    return await _answered(request, slug, answer)


@get("/api/{slug:str}/users/{subject:str}", media_type=MediaType.JSON)
async def show(request: Asked, slug: str, subject: str) -> Response[bytes]:
    """Return a subject as it was at `asOf`: an RFC 3339 time or a position; now without it."""
    return await _answered(
        request, slug, lambda reader: answers.as_of(reader, subject, moment(request.query_params.get("asOf")))
    )


@get("/api/{slug:str}/log", media_type=MediaType.JSON)
async def provisioning_log(request: Asked, slug: str) -> Response[bytes]:
    """Return the provisioning log, newest first: count, before, subject, action, status, run."""
    asked = request.query_params

    def answer(reader: Reader) -> Any:
        return answers.log(
            reader,
            count=_count(request),
            before=_number(asked.get("before"), "before"),
            subject=asked.get("subject"),
            action=_one_of(asked.get("action"), "action", ACTIONS),
            status=_one_of(asked.get("status"), "status", STATUSES),
            run=_number(asked.get("run"), "run"),
        )

    return await _answered(request, slug, answer)


@get("/api/{slug:str}/runs", media_type=MediaType.JSON)
async def runs(request: Asked, slug: str) -> Response[bytes]:
    """Return runs, newest first, and how regularly each client comes: count, before, client, since, until."""
    asked = request.query_params

    def answer(reader: Reader) -> Any:
        since, until = period(asked.get("since"), asked.get("until"))
        return answers.runs(
            reader,
            count=_count(request),
            before=_number(asked.get("before"), "before"),
            client=_named(asked.get("client"), "client"),
            since=since,
            until=until,
        )

    return await _answered(request, slug, answer)


@get("/api/{slug:str}/entra-log", media_type=MediaType.JSON)
async def entra_log(request: Asked, slug: str) -> Response[bytes]:
    """Return what the imported log says about a subject, oldest first: subject, since, until."""
    query = request.query_params

    def answer(reader: Reader) -> Any:
        since, until = period(query.get("since"), query.get("until"))
        return answers.entra(reader, _subject(request), since=since, until=until)

    return await _answered(request, slug, answer)


@get("/api/{slug:str}/entra-log/unmatched", media_type=MediaType.JSON)
async def unmatched(request: Asked, slug: str) -> Response[bytes]:
    """Return what does not fit together: rows without a request, requests without a row; count of each."""

    return await _answered(request, slug, lambda reader: entra_report.unmatched(reader, count=_count(request)))


@get("/api/{slug:str}/diff", media_type=MediaType.JSON)
async def diff(request: Asked, slug: str) -> Response[bytes] | Stream:
    """Tell what is different between two moments, `from` and `to` (now without it); streamed."""
    service: Service = request.app.state.service
    asked = request.query_params

    async def streamed() -> Stream:
        caller = await calling(request, slug)
        caller.require("audit")
        start, end = past_moment(asked.get("from"), "from"), moment(asked.get("to"), "to")
        standings = await service.ask(caller, lambda reader: moments(reader, start, end))

        def tell(reader: Reader) -> Iterator[bytes]:
            with Differences(reader, caller.types, *standings).opened() as differences:
                yield from as_json(slug, differences)

        return Stream(service.stream(caller, tell), media_type=MediaType.JSON)

    return await or_failure(streamed())


AUDIT_HANDLERS = [why, show_request, history, show, provisioning_log, runs, entra_log, unmatched, diff]


async def _answered(request: Asked, slug: str, answer: Callable[[Reader], Any]) -> Response[bytes]:
    return await answered(request, slug, "audit", asking(answer))


def asking(answer: Callable[[Reader], Any]) -> Work:
    """Return the work of an answer that is read from the ledger, on a connection of the auditors' pool."""

    def work(service: Service, caller: Caller) -> Any:
        with service.reading.connection() as connection:
            return answer(Reader(connection, caller.tenant, caller.vault))

    return work


async def answered(request: Asked, slug: str, scope: str, work: Work) -> Response[bytes]:
    """Work in a thread for a token of this scope; the answer, and every failure in one sentence, is JSON."""

    async def told() -> Any:
        caller = await calling(request, slug)
        caller.require(scope)
        return await in_thread(request, caller, work)

    return await answering(told())


async def answering(told: Awaitable[Any]) -> Response[bytes]:
    """Answer with what comes of it; every failure is JSON with one sentence."""

    async def encoded() -> Response[bytes]:
        answer = await told
        return answer if isinstance(answer, Response) else Response(_encode(answer), media_type=MediaType.JSON)

    return await or_failure(encoded())


async def or_failure(answer: Awaitable[_Answer]) -> _Answer | Response[bytes]:
    """Answer; every failure is JSON with one sentence."""
    try:
        return await answer
    except (NoSuchClient, NoSuchRun, NoSuchSubject, received.NoSuchRequest) as error:
        return failed(404, str(error))
    except ScimError as error:
        return failed(error.status, error.detail, error.headers)
    except Unreachable as error:
        unavailable = Unavailable(2, str(error))
        return failed(503, unavailable.detail, unavailable.headers)


async def calling(request: Asked, slug: str) -> Caller:
    """Return who calls, once it is their turn. Raises Unauthenticated, TooManyRequests."""
    service: Service = request.app.state.service
    authorization = request.headers.get("authorization")
    caller = await service.callers.identify(slug, authorization.encode("latin-1") if authorization else None)
    if caller.bucket is not None:
        await caller.bucket.turn()
    return caller


async def in_thread(request: Asked, caller: Caller, work: Work, *, answer_s: float = ANSWER_S) -> Any:
    """Work in a thread. Raises Unreachable, also when it takes too long, and what the work raises."""
    service: Service = request.app.state.service
    return await service.within(lambda: work(service, caller), answer_s)


def failed(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response[bytes]:
    """Return a refusal as everything below /api says it."""
    return Response(_encode({"error": sentence}), status_code=status, headers=headers, media_type=MediaType.JSON)


def _subject(request: Asked) -> str:
    subject = _text(request.query_params.get("subject"), "subject")
    if not subject or not subject.strip():
        raise InvalidValue("say whom you mean: ?subject= with a userName, externalId or id")
    return subject


def _text(text: str | None, name: str) -> str | None:
    if text is not None and (len(text) > 1_024 or "\0" in text):
        raise InvalidValue(f"{name} is a text of at most 1,024 characters, none of them NUL")
    return text


def _named(text: str | None, name: str) -> str | None:
    if text == "":
        raise InvalidValue(f"{name} names nobody: leave it out for all")
    return _text(text, name)


def _count(request: Asked) -> int:
    """How many are wanted; 0 for whoever only asks how long the ledger is, as in SCIM's lists."""
    count = _number(request.query_params.get("count"), "count")
    return _COUNT if count is None else count


def _number(text: str | None, name: str, *, least: int = 0) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text) >= least):
        raise InvalidValue(f"{name} is a number from {least} on")
    return int(text)


def _one_of(text: str | None, name: str, known: tuple[str, ...]) -> str | None:
    if text is not None and text not in known:
        raise InvalidValue(f"{name} is one of {', '.join(known)}")
    return text

"""Failures as Horizon's clients know them: problem documents (RFC 7807) with Horizon's types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from starlette.responses import JSONResponse

from aurora_ingest.errors import UsageError

_TYPES: Final = "https://stellar.org/horizon-errors/"


class Problem(Exception):  # noqa: N818 - the RFC's word; it is an answer rather than an error of ours
    """A failure that is answered with a problem document.

    Attributes:
        kind: last part of the document's type.
        title: the type in words.
        status: HTTP status.
        detail: what happened and what to do.
        extras: more about this very case.
        headers: more headers of the answer.
    """

    kind: ClassVar[str] = "server_error"
    title: ClassVar[str] = "Internal Server Error"
    status: ClassVar[int] = 500
    detail: str = (
        "An error occurred while processing this request. It has been written to the service's log; if it comes again, "
        "tell whoever runs the service."
    )

    def __init__(
        self,
        detail: str | None = None,
        *,
        extras: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or self.detail)
        self.detail = detail or self.detail
        self.extras = dict(extras or {})
        self.headers = dict(headers or {})

    def document(self) -> dict[str, Any]:
        """Returns the problem document."""
        document = {
            "type": f"{_TYPES}{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        return {**document, "extras": self.extras} if self.extras else document


class ServerError(Problem):
    """Something that should not happen did."""


class NotFound(Problem):
    """Nothing is there under this address."""

    kind, title, status = "not_found", "Resource Missing", 404
    detail = (
        "The resource at the url requested was not found: either the url is not valid, or the database holds nothing "
        "with these parameters."
    )


class BadRequest(Problem):
    """The request cannot be carried out as it was made."""

    kind, title, status = "bad_request", "Bad Request", 400
    detail = "The request you sent was invalid in some way."

    @classmethod
    def of_field(cls, field: str, reason: str) -> BadRequest:
        """Returns the problem of one parameter, with Horizon's extras."""
        return cls(extras={"invalid_field": field, "reason": reason})


class InvalidOrderBook(Problem):
    """The pair of an order book is not told."""

    kind, title, status = "invalid_order_book", "Invalid Order Book Parameters", 400
    detail = (
        "Which order book? Both selling_asset_type and buying_asset_type have to be native, credit_alphanum4 or "
        "credit_alphanum12, and an asset that is not native needs its code and its issuer as well."
    )


class NotAcceptable(Problem):
    """The client takes no kind of answer that there is."""

    kind, title, status = "not_acceptable", "An acceptable response content-type could not be provided", 406
    detail = "Answers are JSON: send Accept: application/hal+json, application/json, or text/event-stream for a stream."


class MethodNotAllowed(Problem):
    """The service only reads."""

    kind, title, status = "method_not_allowed", "Method Not Allowed", 405
    detail = "This service only reads: send GET."


class BeforeHistory(Problem):
    """What is asked for lies before the first ledger of the history tables."""

    kind, title, status = "before_history", "Data Requested Is Before Recorded History", 410
    detail = "The history tables of this service begin after what was asked for."


class StillIngesting(Problem):
    """There is no state yet, or a rebuild is under way."""

    kind, title, status = "still_ingesting", "Still Ingesting", 503
    detail = "Data cannot be presented because it is still being ingested. Please try again in some minutes."


class StateInvalid(Problem):
    """The state was found wrong; it is not shown until it has been rebuilt."""

    kind, title, status = "state_invalid", "State Invalid", 503
    detail = "The state was found to differ from the history archive's and is being rebuilt. Please try again later."


class OverCapacity(Problem):
    """More is asked at once than the limits allow."""

    kind, title, status = "server_over_capacity", "Server Over Capacity", 503
    detail = "The service works on as much as it may. Please try again in a moment."


class Timeout(Problem):
    """The answer took longer than allowed."""

    kind, title, status = "timeout", "Timeout", 504
    detail = (
        "The request took longer than this service allows. Ask for less: a smaller limit, fewer assets, fewer hops."
    )


@contextmanager
def about_field(field: str) -> Iterator[None]:
    """Turns a refusal of a value inside of the block into the problem of its parameter.

    Raises:
        BadRequest: naming the parameter.
    """
    try:
        yield
    except UsageError as error:
        raise BadRequest.of_field(field, str(error)) from error


class ProblemResponse(JSONResponse):
    """A problem document as an answer."""

    media_type = "application/problem+json"

    def __init__(self, problem: Problem, latest_ledger: int | None = None) -> None:
        headers = dict(problem.headers)
        if latest_ledger is not None:
            headers["Latest-Ledger"] = str(latest_ledger)
        super().__init__(problem.document(), status_code=problem.status, headers=headers)


DOCUMENTED: Final[dict[int | str, dict[str, Any]]] = {
    problem.status: {
        "description": problem.title,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for problem in (BadRequest, NotFound, NotAcceptable, BeforeHistory, StillIngesting, Timeout)
}
"""The failures of every resource, for the OpenAPI document."""

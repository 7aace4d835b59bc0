"""The whole error tree. The docstring of a class is its default message; `status` is its HTTP answer.

Two branches decide what a function does with a fault: `Passing` may pass (answer 503, try again), `Refused` will not
(an HTTP door answers 4xx; an event function keeps a dead letter and answers 200).
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a document: where (JSON pointer, RFC 6901) and what."""

    pointer: str
    message: str
    offset: int | None = None
    """Within a text: the character where the fault is, from 0."""

    def as_json(self) -> dict[str, str | int]:
        document: dict[str, str | int] = {"pointer": self.pointer, "detail": self.message}
        return document if self.offset is None else document | {"offset": self.offset}


class ObservatoryError(Exception):
    """Something went wrong."""

    status = 500
    slug = "internal"

    def __init__(self, message: str | None = None, *, faults: Sequence[Fault] = ()) -> None:
        self.faults = tuple(faults)
        super().__init__(message or self.__class__.__doc__ or "")

    @property
    def message(self) -> str:
        return str(self.args[0])


class Passing(ObservatoryError):
    """A part that this needs is away for the moment; try again."""

    status = 503
    slug = "unavailable"
    retry_after_seconds = 2


class StoreUnavailable(Passing):
    """The job store does not answer or is full; nothing was stored. Try again."""

    slug = "store-unavailable"


class StatisticsUnavailable(StoreUnavailable):
    """The statistics store does not answer or is full. Jobs go on, and what it misses is counted when it is back. Try again."""

    slug = "statistics-unavailable"


class EventLogUnavailable(StoreUnavailable):
    """The event log does not answer. Jobs go on, and what it misses is kept when it is back. Try again."""

    slug = "event-log-unavailable"


class BrokerUnavailable(Passing):
    """The broker does not answer. Try again."""

    slug = "broker-unavailable"


class Draining(Passing):
    """This instance is shutting down and takes no more work. Try again."""

    slug = "draining"


class Overloaded(Passing):
    """More requests are waiting than this instance can hold. Try again."""

    slug = "overloaded"


class Refused(ObservatoryError):
    """The request cannot be carried out as it is."""

    status = 400
    slug = "refused"


class MalformedJson(Refused):
    """The body is not valid JSON."""

    slug = "malformed-json"


class MalformedEvent(Refused):
    """The request is not a valid CloudEvent."""

    slug = "malformed-event"


class MalformedRequest(Refused):
    """The request is not well formed."""

    slug = "malformed-request"


class MalformedQuery(MalformedRequest):
    """The query cannot be read."""

    slug = "malformed-query"

    def __init__(self, message: str, offset: int = 0, length: int = 1) -> None:
        self.offset, self.length = offset, length
        super().__init__(f"the query, at character {offset + 1}: {message}", faults=[Fault("/q", message, offset)])


class QueryTooSlow(Refused):
    """The query needs more time than it may have; it was not answered, not even in part."""

    slug = "query-too-slow"


class IndexBehind(Passing):
    """The search index is too far behind to answer this query whole. Try again, or ask without words of text."""

    slug = "index-behind"
    retry_after_seconds = 5


class ContractViolation(Refused):
    """The document breaks its schema."""

    status = 422
    slug = "contract-violation"


class UnknownEventType(Refused):
    """No such event type is accepted here."""

    status = 422
    slug = "unknown-event-type"


class UnknownTaskType(Refused):
    """No task of that type is known."""

    status = 422
    slug = "unknown-task-type"


class UnknownQueue(Refused):
    """No queue of that name is declared."""

    status = 422
    slug = "unknown-queue"


class UnsupportedMediaType(Refused):
    """The content type is not accepted here."""

    status = 415
    slug = "unsupported-media-type"


class ContentTooLarge(Refused):
    """The request body is larger than allowed."""

    status = 413
    slug = "content-too-large"


class HeadersTooLarge(Refused):
    """The request headers are larger than allowed."""

    status = 431
    slug = "headers-too-large"


class RequestTimeout(Refused):
    """The request body did not arrive in time."""

    status = 408
    slug = "request-timeout"


class NotFound(Refused):
    """There is nothing at this address."""

    status = 404
    slug = "not-found"


class JobNotFound(NotFound):
    """There is no job with this id."""

    slug = "job-not-found"


class ScheduleNotFound(NotFound):
    """There is no schedule of this name."""

    slug = "schedule-not-found"


class MethodNotAllowed(Refused):
    """This address does not take this method."""

    status = 405
    slug = "method-not-allowed"
    allowed: tuple[str, ...] = ()


class Conflict(Refused):
    """The request collides with what is already there."""

    status = 409
    slug = "conflict"


class IdempotencyConflict(Conflict):
    """This key was already used for another request; use a new key, or send the same request."""

    slug = "idempotency-conflict"


class UniqueKeyTaken(Conflict):
    """Another job that has not ended holds this unique_key."""

    slug = "unique-key-taken"


class IllegalMove(Conflict):
    """The job is in a state from which this is not possible."""

    slug = "illegal-move"


class LeaseLost(Conflict):
    """The lease of this attempt is no longer held; the write changed nothing."""

    slug = "lease-lost"


class Forbidden(Refused):
    """This is not allowed here."""

    status = 403
    slug = "forbidden"


class Unadmitted(Refused):
    """The request was turned away before it was looked at."""

    status = 403
    slug = "unadmitted"


class Unauthenticated(Unadmitted):
    """This needs a key."""

    status = 401
    slug = "unauthenticated"
    challenge = "Bearer"


class RoleTooLow(Unadmitted):
    """The key does not open this."""

    slug = "role-too-low"
    challenge = "Bearer"


class NotFromHere(Unadmitted):
    """Without keys only this machine is let in."""

    slug = "not-from-here"


class HostNotServed(Unadmitted):
    """This host name is not served."""

    slug = "host-not-served"


class ForeignOrigin(Unadmitted):
    """A page of another site may not do this."""

    slug = "foreign-origin"


class ConfigurationError(ObservatoryError):
    """A setting, file or folder is not usable as it is."""

    slug = "configuration"


class DataFolderTooNew(ConfigurationError):
    """The data folder was written by a newer version."""

    slug = "data-folder-too-new"


class DataFolderInUse(ConfigurationError):
    """Another instance holds the data folder."""

    slug = "data-folder-in-use"

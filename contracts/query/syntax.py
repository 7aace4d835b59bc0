"""What a query is once it is read: a frozen tree that prints itself, and that a job either fits or does not."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from contracts.job import Job


@dataclass(frozen=True, slots=True)
class Is:
    """A field is exactly this value; for `tag`, one of the tags is."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Compare:
    """`age` and `duration` against microseconds, `attempt` and `attempts` against a number; `operator` is one of > >= < <= =."""

    field: str
    operator: str
    value: int


@dataclass(frozen=True, slots=True)
class ErrorSays:
    """The error (of a dead letter: the reason) has these words, one after the other."""

    text: str
    field: str = "error"


@dataclass(frozen=True, slots=True)
class PayloadIs:
    """A value at this path of the payload is this one; lists on the way are looked through."""

    path: tuple[str, ...]
    value: str


@dataclass(frozen=True, slots=True)
class Says:
    """Payload, error or output has these words, one after the other; a text that is an id also means that job."""

    text: str


Term: TypeAlias = Is | Compare | ErrorSays | PayloadIs | Says


@dataclass(frozen=True, slots=True)
class Not:
    part: "Node"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds; without parts: everything."""

    parts: tuple["Node", ...] = ()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One part holds at least; there are two or more."""

    parts: tuple["Node", ...]


Node: TypeAlias = Term | Not | AllOf | AnyOf


def all_of(parts: Iterable[Node]) -> Node:
    """The parts together: one alone stands for itself, and groups within the group open up."""
    flat = _flat(parts, AllOf)
    return flat[0] if len(flat) == 1 else AllOf(flat)


def any_of(parts: Iterable[Node]) -> Node:
    """One of the parts; there is at least one."""
    flat = _flat(parts, AnyOf)
    return flat[0] if len(flat) == 1 else AnyOf(flat)


def negated(part: Node) -> Node:
    return part.part if isinstance(part, Not) else Not(part)


def _flat(parts: Iterable[Node], kind: type[AllOf] | type[AnyOf]) -> tuple[Node, ...]:
    found: list[Node] = []
    for part in parts:
        if isinstance(part, kind):
            found += part.parts
        else:
            found.append(part)
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Query:
    """A whole query. `str(query)` reads back as an equal one."""

    root: Node = AllOf()

    def __str__(self) -> str:
        from contracts.query.printing import printed

        return printed(self.root)

    @property
    def is_everything(self) -> bool:
        return self.root == AllOf()

    def terms(self) -> Iterator[Term]:
        """Every term, negated ones too."""
        return _terms(self.root)

    def and_also(self, *others: "Query") -> "Query":
        """This one and the others together."""
        return Query(all_of([self.root, *(other.root for other in others)]))

    def matches(self, job: Job, *, now: int, outputs: Sequence[str] = ()) -> bool:
        """Whether a job fits at an instant (microseconds). `outputs` is what its attempts printed.

        The payload is taken as it is: hand in what may be shown.
        """
        from contracts.query.matching import Subject, fits

        return fits(self.root, Subject(job, now, outputs))

    @property
    def reads_text(self) -> bool:
        """Whether payload or output must be at hand to decide."""
        return any(isinstance(term, Says | PayloadIs) for term in self.terms())

    @property
    def reads_output(self) -> bool:
        """Whether what attempts printed must be at hand to decide."""
        return any(isinstance(term, Says) for term in self.terms())


def _terms(node: Node) -> Iterator[Term]:
    if isinstance(node, Not):
        yield from _terms(node.part)
    elif isinstance(node, AllOf | AnyOf):
        for part in node.parts:
            yield from _terms(part)
    else:
        yield node


EVERYTHING = Query()


def query_of(field: str, values: Sequence[str]) -> Query:
    """`field:a,b` of plain values; everything when there are none."""
    return Query(any_of(Is(field, value) for value in values)) if values else EVERYTHING

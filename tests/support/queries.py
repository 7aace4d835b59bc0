"""Random queries and jobs that have something to do with each other, for hypothesis."""

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from contracts.query.fields import STATES
from contracts.query.syntax import Compare, ErrorSays, Is, Node, Not, PayloadIs, Query, Says, all_of, any_of

TYPES = ("demo.noop", "demo.fail", "text.statistics")
QUEUES = ("default", "bulk")
TAGS = ("red", "round", "a:b/c=d", "nightly")
WORDS = ("alpha", "Beta", "GAMMA", "straße", "3.0", "no", "such", "file", "x1")
SEGMENTS = ("name", "count", "my key", "items", "a.b")
VALUES = ("alpha", "Beta", "3", "3.0", "true", "null", "", "no such file", "4e2")
TIMES = (0, 1, 1_500, 2_000_000, 90_000_000, 3_600_000_000, 86_400_000_000)

NO_ID = st.just("none")
phrases = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)


def _exact(field: str, values: tuple[str, ...]) -> SearchStrategy[Node]:
    return st.sampled_from(values).map(lambda value: Is(field, value))


def terms(ids: SearchStrategy[str] = NO_ID) -> SearchStrategy[Node]:
    """Any term."""
    order = st.sampled_from((">", ">=", "<", "<="))
    return st.one_of(
        _exact("state", STATES),
        _exact("type", TYPES),
        _exact("queue", QUEUES),
        _exact("tag", TAGS),
        _exact("actor", ("anna", "anonymous")),
        _exact("schedule", ("every-morning", "none")),
        st.builds(Is, st.sampled_from(("id", "parent", "root")), ids),
        st.builds(Compare, st.sampled_from(("age", "duration")), order, st.sampled_from(TIMES)),
        st.builds(Compare, st.just("attempt"), st.sampled_from((">", ">=", "<", "<=", "=")), st.integers(0, 3)),
        st.builds(ErrorSays, phrases),
        st.builds(PayloadIs, st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=2).map(tuple), st.sampled_from(VALUES)),
        st.builds(Says, phrases | ids),
    )


def nodes(ids: SearchStrategy[str] = NO_ID, leaves: int = 5) -> SearchStrategy[Node]:
    """Any tree, in the shape that reading a text gives it."""

    def grown(part: SearchStrategy[Node]) -> SearchStrategy[Node]:
        groups = st.lists(part, min_size=1, max_size=3)
        negations = part.map(lambda node: node.part if isinstance(node, Not) else Not(node))
        return st.one_of(groups.map(all_of), groups.map(any_of), negations)

    return st.recursive(terms(ids), grown, max_leaves=leaves)


def queries(ids: SearchStrategy[str] = NO_ID, leaves: int = 5) -> SearchStrategy[Query]:
    """Any query."""
    return nodes(ids, leaves).map(Query)


scalars = st.sampled_from(("alpha", "Beta GAMMA", "straße", "STRASSE", 3, 3.0, 400, True, None, "", "no such file", "no, such: file!"))
payloads = st.recursive(
    st.dictionaries(st.sampled_from(SEGMENTS), scalars, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(SEGMENTS), inner | st.lists(inner | scalars, max_size=3), max_size=2),
    max_leaves=4,
)

"""The one query language: what the API, the command line and the screens take to find jobs, and dead letters.

    state:failed type:text.statistics -tag:nightly age<2h "no such file" OR error:FileNotFoundError

Terms side by side must all hold; `OR` binds tighter than that; `-` negates; parentheses group. See README.md, "Queries".
"""

from contracts.query.completion import Typed, suggestions, typed_at
from contracts.query.fields import JOBS, LETTERS
from contracts.query.letters import fits_letter
from contracts.query.parser import parse
from contracts.query.syntax import EVERYTHING, Query, query_of

__all__ = ["EVERYTHING", "JOBS", "LETTERS", "Query", "Typed", "fits_letter", "parse", "query_of", "suggestions", "typed_at"]

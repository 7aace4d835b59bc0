"""What a changed schema takes away, found by comparing it with the one before.

`narrowings(old, new)` looks for documents that the old schema accepts and the new one may refuse. It errs on the side of
a finding: where two schemas cannot be compared (a changed regular expression, `not`, `if`), they count as narrower. So
no finding means that nothing was taken away, while a finding may be overcautious; a wider pattern, for one, is written
as `anyOf` of the old one and the new.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import jsonschema_rs

from contracts.schema_files import URN, name_of
from contracts.strict_json import dumps_text

TYPES = frozenset({"null", "boolean", "object", "array", "string", "integer", "number"})
_KEYWORDS = {
    frozenset({"number", "integer"}): "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf",
    frozenset({"string"}): "minLength maxLength pattern format",
    frozenset({"array"}): "minItems maxItems uniqueItems",
    frozenset({"object"}): "minProperties maxProperties required dependentRequired",
}
_OF_TYPE = {keyword: types for types, keywords in _KEYWORDS.items() for keyword in keywords.split()}
_LEAST = ("minLength", "minItems", "minProperties")
_MOST = ("maxLength", "maxItems", "maxProperties")
_ANNOTATIONS = frozenset(
    {"$schema", "$id", "$comment", "$defs", "$ref", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"}
)
_ALTERNATIVES = ("anyOf", "oneOf")


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that may be refused now: `place` is a pointer into documents (`*`: any item or further field).

    `kind` is type, values, required, limit, pattern, closed, removed, secret or form.
    """

    place: str
    kind: str
    message: str


@dataclass(frozen=True)
class Library:
    """Schemas by name, whose references lead to one another."""

    schemas: Mapping[str, Any]

    def at(self, name: str) -> "Spot":
        return Spot(self.schemas[name], self.schemas[name], self)

    def by_uri(self, uri: str) -> "Spot":
        return self.at(name_of(uri))


@dataclass(frozen=True, eq=False)
class Spot:
    """A subschema, with the document and the library that its references start from.

    `taken` names its anyOf or oneOf once each branch of that is looked at by itself.
    """

    schema: Any
    root: Any
    library: Library
    taken: frozenset[str] = frozenset()

    def inner(self, schema: Any) -> "Spot":
        return Spot(schema, self.root, self.library)

    def get(self, keyword: str, default: Any = None) -> Any:
        return self.schema.get(keyword, default)

    def referred(self) -> "Spot":
        """Where `$ref` leads. Raises LookupError or ValueError when that is nowhere."""
        uri, _, fragment = self.schema["$ref"].partition("#")
        start = self.library.by_uri(uri) if uri.startswith(URN) else Spot(self.root, self.root, self.library)
        schema = start.schema
        for token in fragment.split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            schema = schema[int(key)] if isinstance(schema, list) else schema[key]
        return start.inner(schema)

    @cached_property
    def canonical(self) -> str:
        """What it demands, as canonical text: without annotations, references replaced by what they lead to."""
        return dumps_text(_expanded(self, ()))


def _expanded(spot: Spot, above: tuple[int, ...]) -> Any:
    schema = spot.schema
    if isinstance(schema, list):
        return [_expanded(spot.inner(part), above) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if id(schema) in above:
        return {"again": len(above) - above.index(id(schema))}
    above = (*above, id(schema))
    result = {keyword: _expanded_value(spot, keyword, value, above) for keyword, value in schema.items() if _demands(keyword)}
    if "$ref" in schema:
        result["allOf"] = [*result.get("allOf", ()), _expanded(spot.referred(), above)]
    return result["allOf"][0] if result.keys() == {"allOf"} and len(result["allOf"]) == 1 else result


def _demands(keyword: str) -> bool:
    return keyword == "x-secret" or not (keyword in _ANNOTATIONS or keyword.startswith("x-"))


def _expanded_value(spot: Spot, keyword: str, value: Any, above: tuple[int, ...]) -> Any:
    if keyword in ("properties", "patternProperties", "dependentSchemas"):
        return {name: _expanded(spot.inner(part), above) for name, part in value.items()}
    if keyword in ("enum", "const", "required", "dependentRequired"):
        return value
    return _expanded(spot.inner(value), above)


def narrowings(old: Spot, new: Spot, *, open_to_new_fields: bool = False) -> list[Difference]:
    """Every way in which `new` may refuse what `old` accepts, without repeats, in the order of the documents.

    With `open_to_new_fields` a field that `old` did not name may be added to an open object: nobody wrote it before.
    """
    found = _Comparison(open_to_new_fields).check([old], new, "", ())
    return sorted(dict.fromkeys(found), key=lambda difference: (difference.place, difference.message))


@dataclass(frozen=True)
class _Comparison:
    open_to_new_fields: bool

    def check(self, olds: Iterable[Spot], new: Spot, place: str, above: tuple[Any, ...]) -> list[Difference]:
        """`olds` hold together (as in allOf); all of them and `new` judge the value at `place`."""
        old = [spot for given in olds for spot in _conjuncts(given)]
        here = (frozenset((spot.canonical, spot.taken) for spot in old), new.canonical)
        if here in above or any(spot.schema is False for spot in old) or not (types := _types(old)):
            return []
        values = _values(old)
        if values is not None:
            return [*_refused(values, new, place), *_secrets(old, _conjuncts(new), place)]
        parts = _conjuncts(new)
        found = [*_secrets(old, parts, place)]
        for spot in parts:
            found += self._check_cases(old, spot, types, place, (*above, here))
        if "object" in types and not any(spot.schema is False for spot in parts):
            found += _removed(old, parts, place, found)
        return found

    def _check_cases(self, old: list[Spot], new: Spot, types: set[str], place: str, above: tuple[Any, ...]) -> list[Difference]:
        """As `_check_part`, for each alternative of `old` by itself: whatever one of them lets in must be taken."""
        if any(new.canonical == spot.canonical for spot in old):
            return []
        cases = _alternatives(old)
        if cases is None:
            return self._check_part(old, new, types, place, above)
        rest, branches = cases
        return [found for branch in branches for found in self.check([*rest, branch], new, place, above)]

    def _check_part(self, old: list[Spot], new: Spot, types: set[str], place: str, above: tuple[Any, ...]) -> list[Difference]:
        if new.schema is False:
            return [Difference(place, "closed", "is no longer allowed")]
        found: list[Difference] = []
        for keyword in new.schema:
            rule = _RULES.get(keyword)
            if rule and types & _OF_TYPE.get(keyword, TYPES):
                found += [Difference(place, kind, message) for kind, message in rule(old, new, keyword)]
        found += self._check_forms(old, new, place, above)
        if "object" in types:
            found += self._check_fields(old, new, place, above)
        if "array" in types:
            found += self._check_items(old, new, place, above)
        return found

    # ---- combined schemas -----------------------------------------------------------------------------------------

    def _check_forms(self, old: list[Spot], new: Spot, place: str, above: tuple[Any, ...]) -> Iterator[Difference]:
        for keyword in ("not", "if", "oneOf", "contains", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems"):
            if keyword in new.schema and not any(_same(spot, new, keyword) for spot in old):
                if keyword == "unevaluatedProperties" and new.get(keyword) is False:
                    yield Difference(place, "closed", "refuses fields that it does not know now")
                else:
                    yield Difference(place, "form", f"has another {keyword} now, which may refuse what was accepted")
        if "anyOf" in new.schema and not self._has_room(old, new, place, above):
            yield Difference(place, "form", "does not fit any form of anyOf for all that was accepted")

    def _has_room(self, old: list[Spot], new: Spot, place: str, above: tuple[Any, ...]) -> bool:
        """Whether each kind of value that `old` takes has a branch of `new`'s anyOf that takes it whole."""
        if any(_same(spot, new, "anyOf") for spot in old):
            return True
        branches = [new.inner(branch) for branch in new.get("anyOf")]
        cases = [[*old, new.inner({"type": name})] for name in sorted(_types(old))]
        return any(not self.check(old, branch, place, above) for branch in branches) or all(
            any(not self.check(case, branch, place, above) for branch in branches) for case in cases
        )

    # ---- objects --------------------------------------------------------------------------------------------------

    def _check_fields(self, old: list[Spot], new: Spot, place: str, above: tuple[Any, ...]) -> Iterator[Difference]:
        named = _named(old)
        for name, part in new.get("properties", {}).items():
            if name in named or not self.open_to_new_fields:
                yield from self.check(_below(old, name), new.inner(part), f"{place}/{_token(name)}", above)
        for pattern in new.get("patternProperties", {}):
            yield from self._check_pattern(old, new, pattern, place, above)
        if new.get("additionalProperties", True) is not True:
            yield from self._check_further(old, new, place, above)
        if "propertyNames" in new.schema:
            texts = new.inner({"type": "string"})
            olds = [texts, *(spot.inner(spot.get("propertyNames", True)) for spot in old)]
            yield from self.check(olds, new.inner(new.get("propertyNames")), f"{place}/(name)", above)

    def _check_pattern(self, old: list[Spot], new: Spot, pattern: str, place: str, above: tuple[Any, ...]) -> Iterator[Difference]:
        part = new.inner(new.schema["patternProperties"][pattern])
        for name in _named(old):
            if re.search(pattern, name) and name not in new.get("properties", {}):
                yield from self.check(_below(old, name), part, f"{place}/{_token(name)}", above)
        same = [spot.inner(spot.get("patternProperties")[pattern]) for spot in old if pattern in spot.get("patternProperties", {})]
        yield from self.check(same or _further(old), part, f"{place}/*", above)

    def _check_further(self, old: list[Spot], new: Spot, place: str, above: tuple[Any, ...]) -> Iterator[Difference]:
        """Fields that `new` does not name here are judged by its additionalProperties."""
        further = new.inner(new.get("additionalProperties"))
        own, patterns = new.get("properties", {}), new.get("patternProperties", {})
        for name in _named(old):
            if name not in own and not any(re.search(pattern, name) for pattern in patterns):
                yield from self.check(_below(old, name), further, f"{place}/{_token(name)}", above)
        for spot in old:
            for pattern, part in spot.get("patternProperties", {}).items():
                if pattern not in patterns:
                    yield from self.check([spot.inner(part)], further, f"{place}/*", above)
        if further.schema is False and not any(spot.schema is False for spot in _further(old)):
            yield Difference(place, "closed", "refuses fields that it does not know now")
        elif further.schema is not False:
            yield from self.check(_further(old), further, f"{place}/*", above)

    # ---- arrays ---------------------------------------------------------------------------------------------------

    def _check_items(self, old: list[Spot], new: Spot, place: str, above: tuple[Any, ...]) -> Iterator[Difference]:
        if "items" not in new.schema and "prefixItems" not in new.schema:
            return
        length = max((len(spot.get("prefixItems", ())) for spot in [*old, new]), default=0)
        for index in range(length):
            yield from self.check([_item(spot, index) for spot in old], _item(new, index), f"{place}/{index}", above)
        yield from self.check([_item(spot, length) for spot in old], _item(new, length), f"{place}/*", above)


def _conjuncts(spot: Spot, above: tuple[int, ...] = ()) -> list[Spot]:
    """The schemas that must all hold: itself without `$ref` and `allOf`, and what those lead to."""
    if spot.schema is True or id(spot.schema) in above:
        return []
    if spot.schema is False:
        return [spot]
    above = (*above, id(spot.schema))
    parts = [spot.inner(part) for part in spot.get("allOf", ())]
    if "$ref" in spot.schema:
        parts.append(spot.referred())
    own = spot.inner({key: value for key, value in spot.schema.items() if key not in ("$ref", "allOf")}) if parts else spot
    return [own, *(found for part in parts for found in _conjuncts(part, above))]


def _types(old: list[Spot]) -> set[str]:
    """The types of the values that may pass."""
    types = set(TYPES)
    for spot in old:
        if "type" in spot.schema:
            types &= _type_set(spot.schema["type"])
    return types


def _type_set(value: Any) -> set[str]:
    names = {value} if isinstance(value, str) else set(value)
    return names | {"integer"} if "number" in names else names


def _values(old: list[Spot]) -> list[Any] | None:
    """The values that may pass where an enum or const counts them up; None elsewhere."""
    for spot in old:
        if "const" in spot.schema or "enum" in spot.schema:
            given = [spot.schema["const"]] if "const" in spot.schema else spot.schema["enum"]
            return [value for value in given if all(_takes(other, value) for other in old)]
    return None


def _takes(spot: Spot, value: Any) -> bool:
    return jsonschema_rs.Draft202012Validator(json.loads(spot.canonical), validate_formats=True).is_valid(value)


def _refused(values: list[Any], new: Spot, place: str) -> Iterator[Difference]:
    refused = [json.dumps(value, ensure_ascii=False) for value in values if not _takes(new, value)]
    if refused:
        yield Difference(place, "values", f"no longer takes {', '.join(refused)}")


def _alternatives(old: list[Spot]) -> tuple[list[Spot], list[Spot]] | None:
    """The first anyOf or oneOf: the rest of what holds, and its branches. None when there is none."""
    for index, spot in enumerate(old):
        for keyword in _ALTERNATIVES:
            if keyword in spot.schema and keyword not in spot.taken:
                own = Spot(spot.schema, spot.root, spot.library, spot.taken | {keyword})
                return [*old[:index], own, *old[index + 1 :]], [spot.inner(part) for part in spot.schema[keyword]]
    return None


def _same(old: Spot, new: Spot, keyword: str) -> bool:
    words = ("if", "then", "else") if keyword == "if" else (keyword,)
    if keyword == "contains":
        words = ("contains", "minContains", "maxContains")

    def demands(spot: Spot) -> str:
        return spot.inner({word: spot.schema[word] for word in words if word in spot.schema}).canonical

    return keyword in old.schema and demands(old) == demands(new)


def _secrets(old: list[Spot], parts: list[Spot], place: str) -> Iterator[Difference]:
    if any(spot.get("x-secret") is True for spot in old) and not any(
        part.schema is False or part.get("x-secret") is True for part in parts
    ):
        yield Difference(place, "secret", "is no longer marked x-secret, so values that were hidden would be shown")


def _named(old: Iterable[Spot]) -> dict[str, None]:
    return {name: None for spot in old if spot.schema is not False for name in spot.get("properties", {})}


def _below(old: Iterable[Spot], name: str) -> list[Spot]:
    """The schemas that judge a field of that name."""
    found = []
    for spot in old:
        parts = [spot.get("properties", {})[name]] if name in spot.get("properties", {}) else []
        parts += [part for pattern, part in spot.get("patternProperties", {}).items() if re.search(pattern, name)]
        if not parts and "additionalProperties" in spot.schema:
            parts = [spot.schema["additionalProperties"]]
        found += [spot.inner(part) for part in parts]
    return found


def _further(old: Iterable[Spot]) -> list[Spot]:
    return [spot.inner(spot.schema["additionalProperties"]) for spot in old if "additionalProperties" in spot.schema]


def _item(spot: Spot, index: int) -> Spot:
    first = spot.get("prefixItems", ())
    return spot.inner(first[index] if index < len(first) else spot.get("items", True))


def _removed(old: list[Spot], parts: list[Spot], place: str, found: list[Difference]) -> Iterator[Difference]:
    known = {difference.place for difference in found}
    for name in _named(old):
        where = f"{place}/{_token(name)}"
        allowed = not any(spot.schema is False for spot in _below(old, name))
        if allowed and name not in _named(parts) and where not in known:
            yield Difference(where, "removed", "was removed")


def _token(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


# ---- one keyword each: (kind, message) for what it may refuse that `old` accepts -------------------------------------

_Rule = Iterator[tuple[str, str]]


def _type_rule(old: list[Spot], new: Spot, keyword: str) -> _Rule:
    before, now = _types(old), _type_set(new.schema["type"])
    if before == TYPES and now != TYPES:
        yield "type", f"must be {_spoken(now)} now; it could be anything"
    elif before - now:
        yield "type", f"no longer takes {_spoken(before - now)}"


def _spoken(types: set[str]) -> str:
    return " or ".join(sorted(types - {"integer"} if "number" in types else types))


def _values_rule(old: list[Spot], new: Spot, keyword: str) -> _Rule:
    yield "values", "takes only certain values now; it took others too"


def _required_rule(old: list[Spot], new: Spot, keyword: str) -> _Rule:
    before = {name for spot in old for name in spot.get("required", ())}
    for name in new.schema["required"]:
        if name not in before:
            yield "required", f"needs {name!r} now; it was not required"


def _dependent_rule(old: list[Spot], new: Spot, keyword: str) -> _Rule:
    always = {name for spot in old for name in spot.get("required", ())}
    for cause, names in new.schema[keyword].items():
        before = always | {name for spot in old for name in spot.get(keyword, {}).get(cause, ())}
        yield from (("required", f"needs {name!r} beside {cause!r} now") for name in names if name not in before)


def _least_rule(old: list[Spot], new: Spot, keyword: str) -> _Rule:
    before = max((spot.get(keyword, 0) for spot in old), default=0)
    if new.schema[keyword] > before:
        yield "limit", f"has {keyword} {new.schema[keyword]} now; it was {before}"


def _most_rule(old: list[Spot], new: Spot, keyword: str) -> _Rule:
    before = min((spot.get(keyword, math.inf) for spot in old), default=math.inf)
    if new.schema[keyword] < before:
        yield "limit", f"has {keyword} {new.schema[keyword]} now; it {'had none' if before == math.inf else f'was {before}'}"


def _lower_rule(old: list[Spot], new: Spot, keyword: str) -> _Rule:
    words = ("minimum", "exclusiveMinimum")
    bounds = [(spot.schema[word], word == words[1]) for spot in old for word in words if word in spot.schema]
    if (new.schema[keyword], keyword == "exclusiveMinimum") > max(bounds, default=(-math.inf, False)):
        yield "limit", f"has {keyword} {new.schema[keyword]} now; smaller values were accepted"


def _upper_rule(old: list[Spot], new: Spot, keyword: str) -> _Rule:
    words = ("maximum", "exclusiveMaximum")
    bounds = [(-spot.schema[word], word == words[1]) for spot in old for word in words if word in spot.schema]
    if (-new.schema[keyword], keyword == "exclusiveMaximum") > max(bounds, default=(-math.inf, False)):
        yield "limit", f"has {keyword} {new.schema[keyword]} now; larger values were accepted"


def _multiple_rule(old: list[Spot], new: Spot, keyword: str) -> _Rule:
    step = Fraction(str(new.schema[keyword]))
    if not any("multipleOf" in spot.schema and Fraction(str(spot.schema["multipleOf"])) % step == 0 for spot in old):
        yield "limit", f"must be a multiple of {new.schema[keyword]} now"


def _text_rule(old: list[Spot], new: Spot, keyword: str) -> _Rule:
    if not any(spot.get(keyword) == new.schema[keyword] for spot in old):
        yield "pattern", f"has another {keyword} now ({new.schema[keyword]}), which may refuse what was accepted"


def _unique_rule(old: list[Spot], new: Spot, keyword: str) -> _Rule:
    if new.schema[keyword] and not any(spot.get(keyword) for spot in old):
        yield "limit", "refuses repeated items now"


_RULES = {
    "type": _type_rule,
    "enum": _values_rule,
    "const": _values_rule,
    "required": _required_rule,
    "dependentRequired": _dependent_rule,
    **dict.fromkeys(_LEAST, _least_rule),
    **dict.fromkeys(_MOST, _most_rule),
    "minimum": _lower_rule,
    "exclusiveMinimum": _lower_rule,
    "maximum": _upper_rule,
    "exclusiveMaximum": _upper_rule,
    "multipleOf": _multiple_rule,
    "pattern": _text_rule,
    "format": _text_rule,
    "uniqueItems": _unique_rule,
}


def has_field(spot: Spot, place: str) -> bool:
    """Whether a schema names the field at a place such as `/error/type` or `/tags/*`."""
    found = [spot]
    for token in place.split("/")[1:]:
        found = [below for start in found for below in _fields(start, token.replace("~1", "/").replace("~0", "~"))]
    return bool(found)


def _fields(spot: Spot, name: str) -> list[Spot]:
    every = _every_branch(spot)
    if name != "*":
        return _below([part for part in every if name in part.get("properties", {})], name)
    return [*_further(every), *(part.inner(part.schema["items"]) for part in every if "items" in part.schema)]


def _every_branch(spot: Spot) -> list[Spot]:
    parts = [part for part in _conjuncts(spot) if part.schema is not False]
    branches = [part.inner(branch) for part in parts for word in _ALTERNATIVES for branch in part.get(word, ())]
    return [*parts, *(found for branch in branches for found in _every_branch(branch))]

"""Fills a requested JSON schema with facts, walking it by the names of its properties.

Any form will do whose names say what they ask for: institutions (or affiliations, organizations) and authors, as text,
positions or objects, each inside the other or side by side. What nothing is known about stays empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paperjobs_standins.reading.facts import AuthorFact, Facts, InstitutionFact

Schema = Mapping[str, Any]
Scope = Facts | InstitutionFact | AuthorFact

_INSTITUTIONS = {"institution", "affiliation", "organization", "organisation"}
_AUTHORS = {"author", "people", "person", "researcher"}
_NAME = {"name", "full_name", "institution", "affiliation", "organization", "author", "author_name", "institution_name"}
_DEPARTMENT = {"department", "unit", "division", "school", "laboratory"}
_COUNTRY = {"country", "country_name"}
_EVIDENCE = {
    "evidence",
    "quote",
    "quotation",
    "source_text",
    "as_printed",
    "raw",
    "verbatim",
    "text",
    "affiliation_text",
}
_PAGE = {"page", "page_number"}
_EMAILS = {"emails", "email", "email_addresses"}
_ORCID = {"orcid", "orcid_id"}
_CORRESPONDING = {"corresponding", "is_corresponding", "corresponding_author"}
_PRINTED = {"printed_name", "name_as_printed"}


class FormError(ValueError):
    """The schema is not one that can be filled; the API answers 400."""


def fill(schema: Schema, facts: Facts) -> Any:
    """A value that has the schema's form, filled from the facts."""
    return _Filler(schema, facts).value(schema, "", facts)


class _Filler:
    def __init__(self, root: Schema, facts: Facts) -> None:
        self._root, self._facts = root, facts

    def value(self, schema: Schema, name: str, scope: Scope) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if choices := schema.get("anyOf") or schema.get("oneOf"):
            return self._choice(choices, name, scope)
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._choice([{**schema, "type": one} for one in kind], name, scope)
        if kind == "object" or "properties" in schema:
            return {key: self.value(one, key, scope) for key, one in schema.get("properties", {}).items()}
        if kind == "array":
            return self._array(schema, name, scope)
        return self._leaf(schema, kind, name, scope)

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            target: Any = self._root
            for step in str(schema["$ref"]).removeprefix("#/").split("/"):
                target = target.get(step) if isinstance(target, Mapping) else None
            if not isinstance(target, Mapping):
                raise FormError(f"the reference {schema['$ref']} leads nowhere")
            schema = target
        return schema

    def _choice(self, choices: list[Schema], name: str, scope: Scope) -> Any:
        nullable = any(self._resolved(one).get("type") == "null" for one in choices)
        for one in choices:
            if self._resolved(one).get("type") != "null":
                value = self.value(one, name, scope)
                return None if nullable and value in ("", [], {}) else value
        return None

    def _array(self, schema: Schema, name: str, scope: Scope) -> list[Any]:
        items = self._resolved(schema.get("items", {}))
        if isinstance(scope, AuthorFact) and name.lower() in _EMAILS:
            return list(scope.emails)
        from_one = "from 1" in f"{schema.get('description', '')} {items.get('description', '')}"
        positions, source = self._positions(name, scope)
        if items.get("type") == "integer":
            return [position + from_one for position in positions]
        return [self.value(items, "name", source[position]) for position in positions]

    def _positions(self, name: str, scope: Scope) -> tuple[tuple[int, ...], tuple[InstitutionFact | AuthorFact, ...]]:
        """Which facts a list of this name holds: all of them, or those tied to the author or institution around it."""
        if _speaks_of(name, _INSTITUTIONS):
            every = tuple(range(len(self._facts.institutions)))
            return scope.institutions if isinstance(scope, AuthorFact) else every, self._facts.institutions
        if _speaks_of(name, _AUTHORS):
            every = tuple(range(len(self._facts.authors)))
            return scope.authors if isinstance(scope, InstitutionFact) else every, self._facts.authors
        return (), ()

    def _leaf(self, schema: Schema, kind: object, name: str, scope: Scope) -> Any:
        known = _known(name, scope)
        if (allowed := schema.get("enum")) is not None:
            other = [one for one in allowed if str(one).lower() in ("other", "unknown", "none")]
            return known if known in allowed else (other or allowed)[0]
        if kind in ("integer", "number"):
            return known if isinstance(known, int) else 0
        if kind == "boolean":
            return bool(known)
        return None if kind == "null" else str(known)


def _speaks_of(name: str, words: set[str]) -> bool:
    return any(word in name.lower() for word in words)


def _known(name: str, scope: Scope) -> str | int:
    name = name.lower()
    if isinstance(scope, Facts):
        return ""
    if name in _NAME:
        return scope.name
    if isinstance(scope, AuthorFact):
        return _of_author(name, scope)
    if isinstance(scope, InstitutionFact):
        for names, value in (
            (_DEPARTMENT, scope.department),
            (_COUNTRY, scope.country),
            (_EVIDENCE, scope.evidence),
            (_PAGE, scope.page),
        ):
            if name in names:
                return value
    return ""


def _of_author(name: str, author: AuthorFact) -> str | int:
    if name in _PRINTED:
        return author.name
    if name in _EMAILS:
        return next(iter(author.emails), "")
    if name in _ORCID:
        return author.orcid
    return author.corresponding if name in _CORRESPONDING else ""

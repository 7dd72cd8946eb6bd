"""The requested form is filled by the names of its properties, whatever its shape."""

from __future__ import annotations

from typing import Any

import pytest

from paperjobs_standins.reading.facts import AuthorFact, Facts, InstitutionFact
from paperjobs_standins.reading.form import FormError, fill

FACTS = Facts(
    institutions=(
        InstitutionFact(
            name="ETH Zurich", department="Physics", country="Switzerland", evidence="1ETH", page=1, authors=(0,)
        ),
        InstitutionFact(name="CERN", department="", country="", evidence="2CERN", page=2, authors=(0, 1)),
    ),
    authors=(AuthorFact(name="Ada", institutions=(0, 1)), AuthorFact(name="Bob", institutions=(1,))),
)
TEXT = {"type": "string"}


def objects(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False, "required": list(properties)}


def listing(items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


def test_two_lists_side_by_side_are_joined_by_positions() -> None:
    form = objects(
        institutions=listing(objects(name=TEXT, country={"anyOf": [TEXT, {"type": "null"}]}, evidence=TEXT)),
        authors=listing(objects(name=TEXT, institutions=listing({"type": "integer"}))),
    )
    assert fill(form, FACTS) == {
        "institutions": [
            {"name": "ETH Zurich", "country": "Switzerland", "evidence": "1ETH"},
            {"name": "CERN", "country": None, "evidence": "2CERN"},
        ],
        "authors": [{"name": "Ada", "institutions": [0, 1]}, {"name": "Bob", "institutions": [1]}],
    }


def test_authors_may_stand_inside_institutions_as_names_or_positions() -> None:
    form = objects(
        affiliations=listing(
            objects(institution=TEXT, authors=listing(TEXT), author_indexes=listing({"type": "integer"}))
        )
    )
    assert fill(form, FACTS)["affiliations"][1] == {
        "institution": "CERN",
        "authors": ["Ada", "Bob"],
        "author_indexes": [0, 1],
    }


def test_positions_count_from_one_when_the_description_says_so() -> None:
    inside = listing({"type": "integer"}, description="Numbers of the institutions, counted from 1")
    form = objects(authors=listing(objects(name=TEXT, institutions=inside)))
    assert [one["institutions"] for one in fill(form, FACTS)["authors"]] == [[1, 2], [2]]


def test_references_enumerations_and_constants_are_followed() -> None:
    form = {
        "$defs": {"Place": objects(name=TEXT, country={"enum": ["Switzerland", "other"]}, kind={"const": "x"})},
        **objects(institutions=listing({"$ref": "#/$defs/Place"})),
    }
    assert fill(form, FACTS)["institutions"] == [
        {"name": "ETH Zurich", "country": "Switzerland", "kind": "x"},
        {"name": "CERN", "country": "other", "kind": "x"},
    ]


def test_what_is_not_known_stays_empty() -> None:
    form = objects(summary=TEXT, tags=listing(TEXT), novelty={"type": "integer"}, note={"type": ["string", "null"]})
    assert fill(form, FACTS) == {"summary": "", "tags": [], "novelty": 0, "note": None}


def test_a_reference_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(FormError, match="#/\\$defs/Nothing"):
        fill({"$ref": "#/$defs/Nothing"}, FACTS)

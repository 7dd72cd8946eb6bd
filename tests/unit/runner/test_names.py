"""Names of institutions and people: when two spellings are the same."""

import pytest

from paperjobs_runner.names import match_authors, name_key, normalise_institution


@pytest.mark.parametrize(
    ("written", "name", "department"),
    [
        ("Stanford University", "Stanford University", None),
        ("  The   University of\nOxford, ", "University of Oxford", None),
        ("MIT", "Massachusetts Institute of Technology", None),
        ("ETH Zurich", "ETH Zürich", None),
        ("Department of Physics, Stanford University", "Stanford University", "Department of Physics"),
        ("University of California, Berkeley", "University of California, Berkeley", None),
        ("UC Berkeley", "University of California, Berkeley", None),
        ("School of Thought", "School of Thought", None),  # nothing else is named
    ],
)
def test_an_institution_gets_its_usual_name(written: str, name: str, department: str | None) -> None:
    found = normalise_institution(written)
    assert found is not None
    assert (found.name, found.department) == (name, department)


@pytest.mark.parametrize("written", ["", "***", "1", " , "])
def test_a_name_without_letters_is_none(written: str) -> None:
    assert normalise_institution(written) is None


def test_spellings_with_and_without_accents_have_one_key() -> None:
    assert name_key("Université de Montréal") == name_key("UNIVERSITE DE MONTREAL")
    assert name_key("Texas A&M") == name_key("Texas A and M")
    assert name_key("Søren Kierkegård") == name_key("Soren Kierkegard")


def test_authors_are_matched_by_full_name_before_initials() -> None:
    authors = ["Jin Wang", "Jie Wang", "José García"]
    assert match_authors(["Jie Wang", "Jin Wang", "J. Garcia"], authors) == [1, 0, 2]


def test_an_ambiguous_or_unknown_name_matches_nobody() -> None:
    assert match_authors(["J. Wang", "Ada Lovelace"], ["Jin Wang", "Jie Wang"]) == [None, None]


def test_two_authors_of_one_name_are_matched_in_order_and_no_author_twice() -> None:
    assert match_authors(["Wei Li", "Wei Li", "Wei Li"], ["Wei Li", "Wei Li"]) == [0, 1, None]


def test_the_last_name_may_come_first() -> None:
    assert match_authors(["LeCun, Yann"], ["Yann LeCun"]) == [0]

"""arXiv's categories among the terms of an Atom entry."""

import pytest

from paperjobs_runner.arxiv_categories import CATEGORIES, canonical_categories


def test_all_that_are_open_for_submissions_are_there_with_their_names() -> None:
    closed = [code for code, name in CATEGORIES.items() if "(before" in name]
    assert len(CATEGORIES) - len(closed) == 149
    assert CATEGORIES["cs.LG"] == "Machine Learning"
    assert all(name.strip() == name for name in CATEGORIES.values())


def test_the_primary_one_comes_first_and_each_is_there_once() -> None:
    assert canonical_categories(["stat.ML", "cs.LG", "stat.ML"], "cs.LG") == ("cs.LG", "stat.ML")


@pytest.mark.parametrize(
    ("alias", "canonical"),
    [
        ("math.MP", "math-ph"),
        ("stat.TH", "math.ST"),
        ("math.IT", "cs.IT"),
        ("q-fin.EC", "econ.GN"),
        ("cs.SY", "eess.SY"),
    ],
)
def test_two_codes_of_one_category_become_one(alias: str, canonical: str) -> None:
    assert canonical_categories([alias, canonical], alias) == (canonical,)


def test_codes_of_other_schemes_are_no_categories() -> None:
    assert canonical_categories(["math.NT", "11A41 (Primary)", "F.2.2; I.2.7", "cs.Fake", ""], None) == ("math.NT",)


def test_an_entry_without_categories_has_none() -> None:
    assert canonical_categories([], None) == ()

"""One affiliation line: institution, department, country."""

from __future__ import annotations

import pytest

from paperjobs_standins.reading.affiliation import Institution, institutions_in
from paperjobs_standins.reading.countries import country_in


@pytest.mark.parametrize(
    ("line", "institution"),
    [
        # a department before, an address behind
        (
            "Department of Physics, Princeton University, Princeton, NJ 08544",
            Institution(name="Princeton University", department="Department of Physics", country="United States"),
        ),
        # a company without any address
        ("Google Brain", Institution(name="Google Brain")),
        # an institute that is no part of anything
        (
            "Yerevan Physics Institute, Yerevan, Armenia",
            Institution(name="Yerevan Physics Institute", country="Armenia"),
        ),
        # an institute that is part of an academy
        (
            "Institute of Physics, Polish Academy of Sciences, Warsaw, Poland",
            Institution(name="Polish Academy of Sciences", department="Institute of Physics", country="Poland"),
        ),
        # an e-mail address on the same line
        ("MIT, doe@mit.example", Institution(name="MIT")),
        # the short form in brackets is not part of the name
        (
            "University College London (UCL), London, UK",
            Institution(name="University College London", country="United Kingdom"),
        ),
    ],
)
def test_an_institution_is_told_from_its_department_and_address(line: str, institution: Institution) -> None:
    assert institutions_in(line)[0] == institution


def test_two_institutions_on_one_line_are_two() -> None:
    assert [one.name for one in institutions_in("University of Amsterdam, OpenAI")] == [
        "University of Amsterdam",
        "OpenAI",
    ]


@pytest.mark.parametrize(
    "line", ["San Francisco, CA 94110, USA", "Fontanka 27", "Equal contribution", "", "jane@x.example"]
)
def test_a_line_without_institution_gives_none(line: str) -> None:
    assert institutions_in(line) == []


@pytest.mark.parametrize(
    ("line", "country"),
    [
        ("Argonne, IL 60439, U.S.A.", "United States"),
        ("Cambridge, MA 02138", "United States"),
        ("Norman OK, United States of America", "United States"),
        ("Shanghai 200433, P. R. China", "China"),
        ("1098 XG Amsterdam, The Netherlands", "Netherlands"),
        ("St. Petersburg 191011, Russia.", "Russia"),
        ("University of Oxford", ""),
    ],
)
def test_the_country_is_given_in_english_however_it_is_spelt(line: str, country: str) -> None:
    assert country_in(line) == country

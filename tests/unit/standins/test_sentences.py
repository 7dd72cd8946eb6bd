"""Affiliations that are told in sentences."""

from paperjobs_standins.reading.people import listed_people
from paperjobs_standins.reading.sentences import places_in_sentences

NAMES = ["Ana Rossi", "Bo Li", "Carla Della Valle"]


def test_everybody_in_a_sentence_is_with_the_place_that_it_names() -> None:
    text = (
        "Corresponding author: Bo Li.\nAna Rossi and Bo Li are with the Department of Physics, University of X, Rome,\n"
        "Italy (e-mail: ana@x.example; bo@x.example). Carla Della Valle is with Corp Y, Oslo."
    )
    place = "Department of Physics, University of X, Rome, Italy"
    assert places_in_sentences(text, NAMES) == [
        ("Ana Rossi", place),
        ("Bo Li", place),
        ("Carla Della Valle", "Corp Y, Oslo"),
    ]


def test_a_sentence_without_an_author_names_no_place() -> None:
    assert places_in_sentences("This agrees well and is with the University of X in mind.", NAMES) == []


def test_bracketed_numbers_are_marks() -> None:
    people = listed_people("Ana Rossi (1), Bo Li (2,3) and Carla Della Valle (1998)", NAMES)
    assert [one.marks for one in people] == [("1",), ("2", "3"), ()]

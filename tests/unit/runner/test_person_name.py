"""How an author's name is split into its parts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paperjobs_runner.names import squash
from paperjobs_runner.person_name import better_spelling, is_collaboration, split_name


@pytest.mark.parametrize(
    ("name", "given", "family", "suffix"),
    [
        ("Ada Lovelace", "Ada", "Lovelace", None),
        ("Aidan N. Gomez", "Aidan N.", "Gomez", None),
        ("J.-P. Serre", "J.-P.", "Serre", None),
        ("Jean-Luc Brylinski", "Jean-Luc", "Brylinski", None),
        ("Ana Šimić", "Ana", "Šimić", None),
        ("Ana S\u030cimic\u0301", "Ana", "Šimić", None),  # accents as characters of their own
        ("Plato", None, "Plato", None),  # somebody with one name
        ("王小明", None, "王小明", None),
        # suffixes
        ("Robert K. Brayton Jr.", "Robert K.", "Brayton", "Jr."),
        ("Martin Luther King, Jr.", "Martin Luther", "King", "Jr."),
        ("William H. Gates III", "William H.", "Gates", "III"),
        ("John Smith IV", "John", "Smith", "IV"),
        # the family name first, with a comma
        ("LeCun, Yann", "Yann", "LeCun", None),
        ("van der Berg, Jan", "Jan", "van der Berg", None),
        ("King, Martin Luther, Jr.", "Martin Luther", "King", "Jr."),
        ("King Jr., Martin Luther", "Martin Luther", "King", "Jr."),
        # particles
        ("Laurens van der Maaten", "Laurens", "van der Maaten", None),
        ("Guido Van Rossum", "Guido", "Van Rossum", None),
        ("Aaron van den Oord", "Aaron", "van den Oord", None),
        ("Nando de Freitas", "Nando", "de Freitas", None),
        ("Maria De La Cruz", "Maria", "De La Cruz", None),
        ("Gerard 't Hooft", "Gerard", "'t Hooft", None),
        ("Gerard \u2019t Hooft", "Gerard", "\u2019t Hooft", None),
        ("Muhammad al-Khwarizmi", "Muhammad", "al-Khwarizmi", None),
        ("Rami Al-Rfou", "Rami", "Al-Rfou", None),
        ("Fahad al Saud", "Fahad", "al Saud", None),
        ("José Ortega y Gasset", "José", "Ortega y Gasset", None),
        ("van Gogh", None, "van Gogh", None),
        # what looks like a particle and is a given name
        ("Al Gore", "Al", "Gore", None),
        ("Di Wang", "Di", "Wang", None),
        ("Thanh Van Nguyen", "Thanh Van", "Nguyen", None),
        ("Quoc V. Le", "Quoc V.", "Le", None),
        ("Sarah Ben Adams", "Sarah Ben", "Adams", None),
        # Portuguese: the grandson is cited with the name before it
        ("Carlos Silva Neto", "Carlos", "Silva Neto", None),
        # initials at the end are no family name
        ("Subramanian K. R.", "K. R.", "Subramanian", None),
        # the order stays arXiv's, whatever the language
        ("Nagy István", "Nagy", "István", None),
        ("Wang Wei", "Wang", "Wei", None),
        # a footnote of arXiv's, and a person who speaks for a group
        ("A. Writer (1)", "A.", "Writer", None),
        ("A. Writer for the ATLAS Collaboration", "A.", "Writer", None),
        ("A. Writer (on behalf of the CMS Collaboration)", "A.", "Writer", None),
    ],
)
def test_a_name_is_split(name: str, given: str | None, family: str | None, suffix: str | None) -> None:
    parts = split_name(name)
    assert (parts.given, parts.family, parts.suffix, parts.is_collaboration) == (given, family, suffix, False)


@pytest.mark.parametrize(
    "name",
    [
        "ATLAS Collaboration",
        "The ATLAS Collaboration",
        "the LIGO Scientific Collaboration",
        "for the ALICE Collaboration",
        "on behalf of the LHCb Collaboration",
        "The 1000 Genomes Project Consortium",
        "Particle Data Group",
        "Gemini Team",
        "OpenAI",
        "DeepSeek-AI",
    ],
)
def test_a_group_of_people_is_a_collaboration_without_parts(name: str) -> None:
    parts = split_name(name)
    assert parts.is_collaboration
    assert (parts.given, parts.family, parts.suffix) == (None, None, None)


@pytest.mark.parametrize("name", ["Theo Smith", "Teamrat Ghezzehei", "J. Projector", "Ai", "AI", "Team"])
def test_a_person_is_no_collaboration(name: str) -> None:
    assert not is_collaboration(name)


@pytest.mark.parametrize(
    ("name", "printed", "best"),
    [
        ("Ana Simic", "Ana Šimić", "Ana Šimić"),
        ("Ana Simic", "ANA ŠIMIĆ", "Ana Šimić"),  # a heading in capitals
        ("Ana Šimić", "Ana Simic", "Ana Šimić"),  # the text of the PDF lost them
        ("Ana Šimic", "Ana Simić", "Ana Šimic"),  # arXiv's own accents are not second-guessed
        ("Hans Mueller", "Hans Müller", "Hans Müller"),
        ("Soren Jorgensen", "Søren Jørgensen", "Søren Jørgensen"),
        ("A. Simic", "Ana Šimić", "A. Simic"),  # not the same words
        ("Ana Simic", "Bo Lí", "Ana Simic"),
        ("Ana Simic", "", "Ana Simic"),
    ],
)
def test_the_papers_accents_are_taken_over(name: str, printed: str, best: str) -> None:
    assert better_spelling(name, printed) == best


_PIECES = st.lists(st.sampled_from([*"Abcé .,'-()", "van ", "de ", "Jr.", " III", " y ", "Neto", "Collaboration"]))


@given(_PIECES.map("".join) | st.text())
def test_no_letter_of_a_persons_name_is_lost_or_invented(name: str) -> None:
    parts = split_name(name)
    if parts.is_collaboration or re.search(r"[()]|for the|behalf|representing", name, re.I):
        return
    together = "".join(part for part in (parts.given, parts.family, parts.suffix) if part)
    assert sorted(squash(together)) == sorted(squash(name))
    assert parts.family or not squash(name)


@given(st.text(), st.text())
def test_another_spelling_never_makes_another_name(name: str, printed: str) -> None:
    assert len(better_spelling(name, printed).split()) == len(name.split())

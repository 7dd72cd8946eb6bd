"""The vocabulary as a CSV file that people edit."""

from pathlib import Path

import pytest

import paperjobs_runner.store
from paperjobs_runner.errors import VocabularyInvalid
from paperjobs_runner.store.vocabulary import VocabularyTag, format_vocabulary, parse_vocabulary

SEED = (Path(paperjobs_runner.store.__file__).parent / "migrations" / "vocabulary.csv").read_text(encoding="utf-8")


def test_the_seed_is_a_valid_vocabulary_of_the_size_it_was_planned_with() -> None:
    assert 80 <= len(parse_vocabulary(SEED)) <= 150


def test_what_is_written_is_read_back() -> None:
    tags = [VocabularyTag(slug="a-b", name='An "odd", name', description="Über, étude\u2026")]
    assert parse_vocabulary("\ufeff" + format_vocabulary(tags)) == tags


def test_every_wrong_line_is_named_with_field_and_remedy() -> None:
    text = "slug,name,description\nGood Tag,Good,Fine.\nstars,,Fine.\nstars,Stars,\nx,X,one,two\n"
    with pytest.raises(VocabularyInvalid) as refusal:
        parse_vocabulary(text)
    told = refusal.value.message
    for line in (
        "line 2: slug: expected up to 60 small letters",
        "line 3: name: expected 1 to 80 characters, got 0",
        "line 4: slug: stars is there twice",
        "line 4: description: expected 1 to 300 characters, got 0",
        "line 5: more than three values; put a text with a comma between quotation marks",
    ):
        assert line in told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "the first line must be slug,name,description", id="empty"),
        pytest.param("tag;name;text\n", "the first line must be slug,name,description", id="another header"),
        pytest.param("slug,name,description\n", "there is no tag", id="no tag"),
        pytest.param(
            "slug,name,description\n" + "".join(f"t{n},T,T\n" for n in range(1_001)), "at most 1000", id="too many"
        ),
    ],
)
def test_what_is_no_vocabulary_is_refused(text: str, says: str) -> None:
    with pytest.raises(VocabularyInvalid, match=says):
        parse_vocabulary(text)

"""Which of Claude's tags are believed."""

import pytest
from pydantic import ValidationError

from paperjobs_runner.pipelines.auto_tagging.answer import AnsweredTag, TagsAnswer
from paperjobs_runner.pipelines.auto_tagging.verify import Limits, accepted, complaint
from paperjobs_runner.store.findings import FoundTag

VOCABULARY = frozenset({"cosmology", "dark-energy", "stars"})
LIMITS = Limits(most=2, min_confidence=0.3)


def answer(*tags: tuple[str, float]) -> TagsAnswer:
    return TagsAnswer(tags=[AnsweredTag(tag=tag, confidence=confidence) for tag, confidence in tags])


def test_tags_of_the_vocabulary_are_accepted_the_surest_first() -> None:
    said = answer(("stars", 0.5), ("cosmology", 0.9))
    assert complaint(said, VOCABULARY, 2) is None
    found = accepted(said, VOCABULARY, LIMITS)
    assert found.tags == (FoundTag(slug="cosmology", confidence=0.9), FoundTag(slug="stars", confidence=0.5))
    assert found.dropped == 0


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param(answer(("Cosmology", 0.9)), "not in the vocabulary: Cosmology", id="another spelling"),
        pytest.param(answer(("stars", 0.9), ("astrology", 0.9)), "not in the vocabulary: astrology", id="not there"),
        pytest.param(answer(("stars", 0.9), ("stars", 0.8)), "more than once: stars", id="twice"),
        pytest.param(answer(("stars", 90)), "confidence must be from 0 to 1: stars", id="a percentage"),
        pytest.param(answer(("stars", -0.1)), "confidence must be from 0 to 1: stars", id="negative"),
        pytest.param(answer(("stars", 1), ("cosmology", 1), ("dark-energy", 1)), "at most 2", id="too many"),
    ],
)
def test_what_is_wrong_is_told_to_claude(said: TagsAnswer, reason: str) -> None:
    assert reason in (complaint(said, VOCABULARY, 2) or "")


def test_what_claude_answers_is_not_repeated_at_length() -> None:
    assert len(complaint(answer(*(("x" * 200, 0.5),) * 200), VOCABULARY, 2) or "") < 1_000


def test_of_a_wrong_answer_the_right_part_stays_and_the_rest_is_counted() -> None:
    said = answer(("astrology", 0.9), ("stars", 0.2), ("stars", 0.8), ("cosmology", 7), ("dark-energy", 0.4))
    found = accepted(said, VOCABULARY, LIMITS)
    assert [tag.slug for tag in found.tags] == ["stars", "dark-energy"]
    assert found.dropped == 3


def test_no_more_than_the_limit_are_kept() -> None:
    found = accepted(answer(("stars", 0.4), ("cosmology", 0.9), ("dark-energy", 0.5)), VOCABULARY, LIMITS)
    assert [tag.slug for tag in found.tags] == ["cosmology", "dark-energy"]
    assert found.dropped == 1


@pytest.mark.parametrize("text", ['{"tags": [{"tag": "stars", "confidence": NaN}]}', '{"tags": "stars"}', "[]", "{}"])
def test_another_form_is_no_answer(text: str) -> None:
    with pytest.raises(ValidationError):
        TagsAnswer.model_validate_json(text)

"""Claude's replies: not messages, not JSON, not the form, or of the form and absurd. Results can always be stored."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest
from anthropic._models import construct_type
from anthropic.types import Message
from pydantic import BaseModel

from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import RunnerError
from paperjobs_runner.pipelines.author_extraction.answer import AuthorsAnswer
from paperjobs_runner.pipelines.author_extraction.verify import people_of
from paperjobs_runner.pipelines.auto_tagging.answer import TagsAnswer
from paperjobs_runner.pipelines.auto_tagging.verify import Limits, accepted
from paperjobs_runner.pipelines.auto_tagging.verify import complaint as complaint_of_tags
from paperjobs_runner.pipelines.institution_extraction.answer import InstitutionsAnswer
from paperjobs_runner.pipelines.institution_extraction.verify import verify
from paperjobs_runner.pipelines.llm_processing.answer import StructuredAbstract
from paperjobs_runner.pipelines.llm_processing.verify import complaint, verified
from paperjobs_runner.services import claude_request
from paperjobs_runner.services.claude import ClaudeAnswer, ask
from paperjobs_runner.settings import ClaudeSettings
from paperjobs_standins.server import Standins
from support.fuzzing import cases, judged, mutated_json, unstorable

PAGES: Final = (
    "A Title\nAda Lovelace1, Alan Turing2\n1University of Toronto, Canada\n2Google Brain\nada@toronto.edu "
    "0000-0002-1825-0097",
    "We show it. " * 50,
)
VOCABULARY: Final = frozenset({"deep-learning", "optimisation"})
LIMITS: Final = Limits(most=5, min_confidence=0.1)
AUTHORS: Final = ("Ada Lovelace", "Alan Turing")


@dataclass(frozen=True, kw_only=True)
class Form:
    """What one pipeline asks for, a good answer, and what it makes of one."""

    form: type[BaseModel]
    good: dict[str, Any]
    use: Callable[[Any], object]


FORMS: Final = {
    "institution-extraction": Form(
        form=InstitutionsAnswer,
        good={
            "institutions": [
                {
                    "name": "University of Toronto",
                    "department": None,
                    "country": "Canada",
                    "evidence": "University of Toronto, Canada",
                },
                {"name": "Google Brain", "department": None, "country": None, "evidence": "Google Brain"},
            ],
            "authors": [
                {"name": "Ada Lovelace", "institutions": [0]},
                {"name": "Alan Turing", "institutions": [0, 1]},
            ],
        },
        use=lambda answer: verify(answer, PAGES, AUTHORS),
    ),
    "author-extraction": Form(
        form=AuthorsAnswer,
        good={
            "affiliations": [
                {
                    "name": "University of Toronto",
                    "department": None,
                    "country": "Canada",
                    "evidence": "University of Toronto, Canada",
                }
            ],
            "authors": [
                {
                    "name": "Ada Lovelace",
                    "printed_name": "Ada Lovelace",
                    "emails": ["ada@toronto.edu"],
                    "orcid": "0000-0002-1825-0097",
                    "is_corresponding": True,
                    "affiliations": [0],
                }
            ],
        },
        use=lambda answer: people_of(answer, PAGES, AUTHORS),
    ),
    "auto-tagging": Form(
        form=TagsAnswer,
        good={"tags": [{"tag": "deep-learning", "confidence": 0.9}, {"tag": "optimisation", "confidence": 0.7}]},
        use=lambda answer: (complaint_of_tags(answer, VOCABULARY, 5), accepted(answer, VOCABULARY, LIMITS)),
    ),
    "llm-processing": Form(
        form=StructuredAbstract,
        good={
            "summary": "The paper shows it in plain words that anybody can read. " * 6,
            "key_points": ["It is shown.", "It holds.", "It is fast."],
            "methods": "We show it.",
            "results": "It holds.",
            "limitations": "",
        },
        use=lambda answer: (complaint(answer, PAGES), verified(answer, PAGES)),
    ),
}


def message_of(text: str, chance: random.Random) -> dict[str, Any]:
    """A message with that text, as Anthropic sends one; one in four is odd in itself."""
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 20},
    }
    odd: dict[str, list[Any]] = {
        "content": [[], None, "text", [{"type": "tool_use", "id": "t", "name": "x", "input": {}}], [None], {}, [[]]],
        "stop_reason": [
            "max_tokens",
            "refusal",
            "tool_use",
            "pause_turn",
            "model_context_window_exceeded",
            "?",
            None,
            7,
        ],
        "usage": [None, {}, {"input_tokens": 10**30, "output_tokens": -1}, {"input_tokens": "many"}, [], True],
        "model": [None, 7, "\x00\ud800", "m" * 100_000, {}],
        "stop_details": [None, "x", {"category": ["cyber"]}, {"category": "bio\x00" * 999}],
    }
    if chance.random() < 0.25:
        name = chance.choice(list(odd))
        message[name] = chance.choice(odd[name])
    return message


def check(case: str, pipeline: Form, settings: ClaudeSettings) -> bool:
    """Ask, and use the answer; whether there was one."""
    deadline = Deadline(at=time.monotonic() + 3000, sleep=lambda _: None)
    answer: Any = judged(
        case, lambda: ask(system="s", question="q", form=pipeline.form, settings=settings, deadline=deadline)
    )
    if isinstance(answer, RunnerError):
        return False
    assert isinstance(answer, ClaudeAnswer), case
    costs = {name: value for name, value in vars(answer).items() if name != "value"}
    assert unstorable(costs) is None, f"{case}: {unstorable(costs)}"
    assert len(answer.model) <= 200, case
    found = judged(case, lambda: pipeline.use(answer.value))
    assert unstorable(found) is None, f"{case}: {unstorable(found)}"
    return True


@pytest.mark.parametrize("pipeline", FORMS)
def test_mutated_answers_give_findings_that_can_be_stored_or_an_error_of_ours(
    pipeline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ClaudeSettings(api_key="k", model="claude-haiku-5-5", base_url=None)
    reply: list[object] = []
    monkeypatch.setattr(claude_request, "create", lambda *_: reply[-1])
    answers = 0
    for case, chance in cases(pipeline, 1200):
        text = mutated_json(FORMS[pipeline].good, chance).decode(
            "utf-8", "surrogatepass" if "d8" in case else "replace"
        )
        value = json.loads(json.dumps(message_of(text, chance)))
        reply.append(construct_type(value=value, type_=Message))
        answers += check(case, FORMS[pipeline], settings)
    assert answers > 40, "mutated beyond recognition: nothing is tested"


def test_replies_that_are_no_messages_pass_through_the_sdk_as_errors_of_ours() -> None:
    form = FORMS["llm-processing"]
    with Standins(["anthropic"]) as standins:
        env = standins.env()
        settings = ClaudeSettings(
            api_key=env["ANTHROPIC_API_KEY"], model="claude-haiku-5-5", base_url=env["ANTHROPIC_BASE_URL"]
        )
        for case, chance in cases("reply", 150):
            body = mutated_json(message_of(json.dumps(form.good), chance), chance).decode("utf-8", "replace")
            standins.anthropic.fault("reply", body=body, times=None)
            check(case, form, settings)
            standins.anthropic.clear()

"""Claude: one question, one answer in an agreed form.

    ask ▶ refused or cut off? ▶ has the form? ▶ does it pass the caller's check? ─ no ─▶ ask once more, and say why

`messages.create` with a JSON schema and our own validation, rather than `parse`: that validates before the stop reason
can be seen, so a truncated answer and a refusal would look alike; and the schema that is sent holds no lengths and
counts, so pydantic has to look at them. The SDK's own retries are off: they obey any Retry-After, however long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic

from pydantic import BaseModel, ValidationError

from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import AnswerInvalid, AnswerRefused, AnswerTooLong
from paperjobs_runner.services import claude_request
from paperjobs_runner.services.allowance import NO_BUDGETS, UNLIMITED, Allowances
from paperjobs_runner.services.claude_request import AnswerT, Effort, Question, Rejected
from paperjobs_runner.services.claude_usage import Usage
from paperjobs_runner.services.patience import with_patience
from paperjobs_runner.settings import ClaudeSettings
from paperjobs_runner.textclean import one_line

MAX_TOKENS: Final = 16_000
"""Tokens of an answer, thinking included; two hundred authors need about 8,000."""
TRIES: Final = 2
"""An answer that is wrong twice is wrong for a reason that a third would not change."""
MAX_FAULTS: Final = 5
"""Faults of form that are told to Claude; the first ones are enough to see what is meant."""

Check = Callable[[AnswerT], str | None]
"""Why an answer that has the form cannot be used all the same, as a sentence for Claude; None when it can."""


@dataclass(frozen=True, kw_only=True)
class ClaudeAnswer(Usage, Generic[AnswerT]):
    """A validated answer, and what all tries for it cost."""

    value: AnswerT
    rejected: str | None = None
    """What the check said of this answer; only for callers who want to keep such an answer."""


def ask(
    *,
    system: str,
    question: str,
    form: type[AnswerT],
    settings: ClaudeSettings,
    deadline: Deadline,
    budgets: Allowances = NO_BUDGETS,
    paper: str | None = None,
    check: Check[AnswerT] | None = None,
    keep_rejected: bool = False,
    max_tokens: int = MAX_TOKENS,
    effort: Effort = "low",
) -> ClaudeAnswer[AnswerT]:
    """Ask, with patience; and once more, saying why, when the answer lacks the form or does not pass `check`.

    `paper` is text that is cached for five minutes, so that a second question about it costs a tenth.
    Raises AnswerInvalid after two such answers (or returns the last one that had the form, with `keep_rejected`),
    AnswerRefused and AnswerTooLong, all with their `usage`; and ServiceFailed, ServiceRefused, RateLimited.
    """
    asked = Question(system=system, paper=paper, question=question, form=form, max_tokens=max_tokens, effort=effort)
    allowance = budgets.of("anthropic", UNLIMITED)
    usage = Usage(model=settings.model)
    rejected: Rejected | None = None
    kept: tuple[AnswerT, str] | None = None
    for _ in range(TRIES):

        def call(rejected: Rejected | None = rejected) -> Any:
            allowance.draw()
            return claude_request.create(asked, rejected, settings, deadline)

        try:
            message = with_patience(call, deadline=deadline, allowance=allowance)
            usage = usage.and_of(message)
            text = _text(message)
        except (AnswerRefused, AnswerTooLong) as error:
            error.usage = usage
            raise
        value, reason = _validated(text, form, check)
        if value is not None and reason is None:
            return ClaudeAnswer(value=value, **vars(usage))
        rejected = Rejected(text=text, reason=reason or "")
        kept = (value, rejected.reason) if value is not None else kept
    if kept is not None and keep_rejected:
        return ClaudeAnswer(value=kept[0], rejected=kept[1], **vars(usage))
    reason = rejected.reason if rejected is not None else ""
    raise AnswerInvalid(f"Claude's answer could not be used, twice: {reason}", usage=usage)


def count_tokens(
    *,
    system: str,
    question: str,
    form: type[BaseModel],
    settings: ClaudeSettings,
    deadline: Deadline,
    budgets: Allowances = NO_BUDGETS,
    paper: str | None = None,
    effort: Effort = "low",
) -> int:
    """How many tokens `ask` would send; free of charge, but a call that counts like any other against the budget."""
    asked = Question(system=system, paper=paper, question=question, form=form, max_tokens=1, effort=effort)
    allowance = budgets.of("anthropic", UNLIMITED)

    def call() -> int:
        allowance.draw()
        return claude_request.count(asked, settings, deadline)

    return with_patience(call, deadline=deadline, allowance=allowance)


def _text(message: Any) -> str:
    """The answer's text; raises AnswerRefused or AnswerTooLong when it is none."""
    if message.stop_reason == "refusal":
        category = getattr(message.stop_details, "category", None)
        said = one_line(str(category))[:40] if category else "no category given"
        raise AnswerRefused(f"Claude declined to read this paper ({said})")
    if message.stop_reason in ("max_tokens", "model_context_window_exceeded"):
        raise AnswerTooLong(f"Claude's answer did not fit ({message.stop_reason})", stop_reason=message.stop_reason)
    # The SDK does not check what it receives: any field may be missing or of another type.
    blocks = message.content if isinstance(message.content, list) else ()
    texts = (getattr(block, "text", None) for block in blocks if getattr(block, "type", None) == "text")
    return "".join(text for text in texts if isinstance(text, str))


def _validated(text: str, form: type[AnswerT], check: Check[AnswerT] | None) -> tuple[AnswerT | None, str | None]:
    """The answer, if it has the form, and what is wrong with it."""
    try:
        value = form.model_validate_json(text)
    except ValidationError as error:
        return None, f"it does not have the agreed form ({_faults(error)})"
    return value, check(value) if check is not None else None


def _faults(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{one_line('.'.join(map(str, one['loc'])))[:60] or 'answer'}: {one['msg'][:120]}" for one in faults]
    return "; ".join(told[:MAX_FAULTS])

"""What Asana's SDK raises, sorted by what to do about it.

Refusals are `ApiException`, everything about the connection a raw urllib3 error, and an answer that is not Asana's
surfaces as TypeError or AttributeError from inside the SDK (observed in 5.4.0). Their texts are never used.
"""

from __future__ import annotations

import re
from typing import Final

from paperjobs_runner.errors import RateLimited, RunnerError, ServiceFailed, ServiceRefused
from paperjobs_runner.services.patience import retry_after_ms
from paperjobs_runner.settings_asana import AsanaSettings

BACKOFF_S: Final = 60.0
"""Seconds to wait after a 429 that does not say how long: Asana counts calls a minute."""


class AsanaTaskMissing(ServiceRefused):
    """There is no such task in Asana (any more)."""


class AsanaTaskRefused(ServiceRefused):
    """Asana refuses this one task; others may pass."""


def classify(error: Exception, settings: AsanaSettings, *, about_task: bool) -> RunnerError:
    """The error to raise for one that the SDK raised; `about_task`: the address named a task, not the project."""
    from asana.rest import ApiException
    from urllib3.exceptions import HTTPError

    if isinstance(error, ApiException) and error.status:
        headers = error.headers or {}
        return _refusal(error.status, headers.get("Retry-After"), error.body, settings, about_task=about_task)
    if isinstance(error, ApiException | HTTPError | OSError):
        return ServiceFailed(f"Asana cannot be reached ({type(error).__name__})")
    return ServiceFailed(f"Asana's answer cannot be read ({type(error).__name__})")


def _refusal(
    status: int, retry_after: str | None, body: object, settings: AsanaSettings, *, about_task: bool
) -> RunnerError:
    if status == 429 or (status == 503 and retry_after is not None):
        wait = retry_after_ms(retry_after, default_s=BACKOFF_S)
        return RateLimited(f"Asana asks to wait {wait / 1000:.0f} s ({status})", retry_after_ms=wait)
    if status in (408, 409) or status >= 500:
        return ServiceFailed(f"Asana failed with status {status}")
    named = _settings_named(body, settings)
    if status == 404 and about_task and not named:
        return AsanaTaskMissing("Asana has no such task (404)")
    if named == ["ASANA_PAPERS_PROJECT_ID"]:
        status = 404
    remedies = {
        401: "the token in ASANA_API_KEY is not valid; make a new one in Asana's developer console",
        402: "the workspace's plan has no custom fields; unset ASANA_PAPER_LINK_FIELD_ID, ASANA_ARXIV_ID_FIELD_ID and "
        "ASANA_ABSTRACT_FIELD_ID, or let the workspace be upgraded",
        403: "the owner of the token in ASANA_API_KEY may not write in the project of ASANA_PAPERS_PROJECT_ID; make "
        "them a member who can edit",
        404: "there is no project ASANA_PAPERS_PROJECT_ID, or the owner of the token in ASANA_API_KEY cannot see it",
    }
    if status in remedies:
        return ServiceRefused(f"Asana refuses us ({status}): {remedies[status]}")
    if named:
        return ServiceRefused(
            f"Asana refuses the task ({status}) because of what {' and '.join(named)} names; correct it (a field "
            "must be one for text, and be added to the project)"
        )
    return AsanaTaskRefused(f"Asana refuses the task ({status})")


def _settings_named(body: object, settings: AsanaSettings) -> list[str]:
    """The settings whose numbers stand in Asana's explanation. Its words are not repeated."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else ""
    numbers = dict.fromkeys(re.findall(r"\d+", text))
    return [name for number in numbers if (name := settings.setting_of(number))]

"""No secret reaches a log line."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from paperjobs_runner.jsonlog import RunLog
from paperjobs_runner.redaction import Redactor


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("password hunter22!", "password ***!"),
        ("quoted p%40ss%2Fword", "quoted ***"),  # the same secret inside a URL
        ("GET https://b.s3/x?X-Amz-Date=1&X-Amz-Signature=abc HTTP", "GET https://b.s3/x?*** HTTP"),
        ("Authorization: Bearer abcdefghijk", "Authorization: Bearer ***"),
        ("key sk-ant-api03-AbCd_ef", "key ***"),
        ("redis://user:pw@host", "redis://user:***@host"),
        ("nothing to hide?x=1", "nothing to hide?x=1"),
    ],
)
def test_secrets_and_what_looks_like_one_are_masked(text: str, clean: str) -> None:
    assert Redactor(["hunter22", "p@ss/word"])(text) == clean


def test_every_line_is_json_with_the_runs_fields(stream: io.StringIO) -> None:
    log = RunLog(stream)
    log.know({"queue": "q", "job": "7", "run": "r", "attempt": 1, "step": "storing"})
    log.hide(Redactor(["hunter22"]))
    try:
        raise ValueError("hunter22")
    except ValueError:
        logging.getLogger("paperjobs_runner.x").exception("it failed\nbadly", extra={"size": 3, "what": "hunter22"})
    (line,) = stream.getvalue().splitlines()
    fields = json.loads(line)
    expected = {"level": "error", "message": "it failed\nbadly", "queue": "q", "job": "7", "step": "storing", "size": 3}
    assert expected.items() <= fields.items()
    assert "ValueError" in fields["traceback"]
    assert "hunter22" not in line


def test_libraries_that_print_urls_and_prompts_are_quiet(stream: io.StringIO) -> None:
    RunLog(stream)
    for name in ("urllib3.connectionpool", "adobe.pdfservices", "anthropic", "httpx2"):
        logging.getLogger(name).info("GET https://x?X-Amz-Signature=abc")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    "form",
    [
        'p"w/+ 1',
        "p%22w/%2B%201",
        "p%22w%2F%2B%201",
        "p%22w%2F%2B+1",
        'p\\"w/+ 1',
        "cCJ3LysgMQ==",
    ],
    ids=["plain", "in a path", "in a query", "in a form", "in JSON", "in base64"],
)
def test_a_secret_is_masked_in_each_form_in_which_it_travels(form: str) -> None:
    assert Redactor(['p"w/+ 1'])(f"x {form} y") == "x *** y"


def test_only_our_own_warnings_and_errors_are_mirrored_and_not_those_about_the_mirror(stream: io.StringIO) -> None:
    log, told = RunLog(stream), list[str]()
    with log.mirrored(told.append):
        for name in ("paperjobs_runner.services.arxiv", "paperjobs_runner.services.progress", "botocore"):
            logging.getLogger(name).warning("of %s", name)
        logging.getLogger("paperjobs_runner.pipelines").info("told already")
    logging.getLogger("paperjobs_runner.services.arxiv").warning("later")
    assert told == ["warning: of paperjobs_runner.services.arxiv"]

"""Broken and hostile Atom feeds, job data and Retry-After headers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from typing import Final
from urllib.request import urlopen

import pytest

from paperjobs_runner.arxiv_id import parse_arxiv_id
from paperjobs_runner.errors import RETRY_AFTER_CAP_MS, PayloadInvalid, RunnerError
from paperjobs_runner.payload import PaperPayload, parse_payload
from paperjobs_runner.services.arxiv_feed import PaperMetadata, read_feed
from paperjobs_runner.services.patience import retry_after_ms
from paperjobs_standins.server import Standins
from support.fuzzing import NASTY, cases, judged, mutated_bytes, mutated_json, unstorable

WANTED: Final = parse_arxiv_id("1706.03762")
ATOM: Final = 'xmlns="http://www.w3.org/2005/Atom"'
ID: Final = "<id>http://arxiv.org/abs/1706.03762v7</id>"

LAUGHS: Final = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))

CRAFTED: Final = {
    "entity bomb": f'<!DOCTYPE f [<!ENTITY a0 "ha">{LAUGHS}]><feed {ATOM}><entry>{ID}<title>&a9;</title></entry>'
    "</feed>",
    "file by entity": f'<!DOCTYPE f [<!ENTITY x SYSTEM "file:///etc/passwd">]><feed {ATOM}><entry>{ID}<title>&x;'
    "</title></entry></feed>",
    "300,000 deep": "<a>" * 300_000,
    "300,000 deep inside of a feed": f"<feed {ATOM}><entry>{ID}<title>{'<a>' * 100_000}{'</a>' * 100_000}</title>"
    "</entry></feed>",
    "another namespace": f'<feed xmlns="urn:no"><entry>{ID}</entry></feed>',
    "no namespace": f"<feed><entry>{ID}</entry></feed>",
    "an entry without anything": f"<feed {ATOM}><entry/></feed>",
    "an entry with an id alone": f"<feed {ATOM}><entry>{ID}</entry></feed>",
    "an error without reason": f"<feed {ATOM}><entry><id>http://arxiv.org/api/errors</id></entry></feed>",
    "an error that shouts": f"<feed {ATOM}><entry><id>http://arxiv.org/api/errors#x</id><summary>"
    f"{'incorrect id ' * 9999}</summary></entry></feed>",
    "an unknown encoding": f'<?xml version="1.0" encoding="klingon"?><feed {ATOM}/>',
    "an encoding of many bytes": f'<?xml version="1.0" encoding="utf-7"?><feed {ATOM}/>',
    "utf-16 that is none": f'<?xml version="1.0" encoding="utf-16"?><feed {ATOM}/>',
    "half a character": f"<feed {ATOM}><entry>{ID}<title>&#xD800;</title></entry></feed>",
    "characters nobody stores": f"<feed {ATOM}><entry>{ID}<title>&#x7f;&#x85;&#xFFFD;</title>"
    '<x:primary_category xmlns:x="http://arxiv.org/schemas/atom" term="&#x7f;cs.CL&#x9f;"/></entry></feed>',
    "50,000 authors": f"<feed {ATOM}><entry>{ID}{'<author><name>A</name></author>' * 50_000}</entry></feed>",
    "the first year, east of Greenwich": f"<feed {ATOM}><entry>{ID}<published>0001-01-01T00:00:00+14:00</published>"
    "<updated>9999-12-31T23:59:59-14:00</updated></entry></feed>",
    "a date without zone": f"<feed {ATOM}><entry>{ID}<published>2017-06-12</published></entry></feed>",
}


def _as_utc(time: datetime | None) -> datetime | None:
    return time.astimezone(UTC) if time else None


def check_feed(case: str, feed: bytes) -> object:
    paper = judged(case, lambda: read_feed(feed, WANTED))
    if isinstance(paper, PaperMetadata):
        assert paper.id.base == WANTED.base, case
        assert unstorable(paper) is None, f"{case}: {unstorable(paper)}"
        for time in (paper.published, paper.updated):
            judged(case, partial(_as_utc, time))  # as the database does
    return paper


@pytest.mark.parametrize("trick", CRAFTED)
def test_a_hostile_feed_is_a_paper_none_or_an_error_of_ours(trick: str) -> None:
    paper = check_feed(trick, CRAFTED[trick].encode())
    if "entity" in trick or "encoding" in trick:
        assert isinstance(paper, RunnerError)


def test_mutated_feeds_give_a_paper_none_or_an_error_of_ours() -> None:
    with Standins(["arxiv"]) as standins:
        address = f"{standins.arxiv.url}/api/query?id_list=1706.03762"
        with urlopen(address) as answer:
            feed = answer.read()
    papers = 0
    for case, chance in cases("feed", 2500):
        papers += isinstance(check_feed(case, mutated_bytes(feed, chance)), PaperMetadata)
    assert papers > 200, "mutated beyond recognition: nothing is tested"


def test_mutated_job_data_is_a_payload_or_payload_invalid() -> None:
    data = {"paperId": "p-1", "arxivUrl": "https://arxiv.org/abs/1706.03762v2", "options": {"deep": [1, {"x": None}]}}
    links = [
        "arXiv:hep-th/9711200",
        "https://doi.org/10.48550/arXiv.1706.03762",
        "http://[::1",
        "https://arxiv.org:99999/",
    ]
    links += [
        "//arxiv.org/abs/1706.03762",
        "https://user:pw@arxiv.org/abs/1706.03762",
        "https://arxiv.org\\@evil.com/abs/1",
    ]
    for case, chance in cases("payload", 2500):
        value = data | ({"arxivUrl": chance.choice(links)} if chance.random() < 0.3 else {})
        text = mutated_json(value, chance).decode("utf-8", "replace")
        payload = judged(case, partial(parse_payload, text))
        if isinstance(payload, PaperPayload):
            assert unstorable([payload.paper_id, str(payload.arxiv_id)]) is None, case
        else:
            assert isinstance(payload, PayloadInvalid), f"{case}: {payload!r}"


def test_any_retry_after_is_a_wait_between_none_and_the_cap() -> None:
    headers = ["120", "Fri, 31 Dec 1999 23:59:59 GMT", "1e999", "-1e999", "nan", "inf", "Mon, 1 Jan 99999 0:0:0 +9999"]
    headers += ["Thu, 01 Jan 0001 00:00:00 +1400", "Fri, 31 Dec 9999 23:59:59 -1400", *map(str, NASTY)]
    for case, chance in cases("retry-after", 1500):
        text = chance.choice(headers)
        if chance.random() < 0.7:
            text = mutated_bytes(text.encode("utf-8", "replace"), chance).decode("latin-1")
        wait = judged(case, partial(retry_after_ms, text, default_s=30))
        assert type(wait) is int, case
        assert 0 <= wait <= RETRY_AFTER_CAP_MS, case
    assert retry_after_ms(json.dumps(None), default_s=30) == 30_000

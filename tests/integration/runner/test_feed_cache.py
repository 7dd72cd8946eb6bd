"""arXiv's answers, kept in Valkey for other runs about the same paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from redis import Redis

from paperjobs_runner.arxiv_id import ArxivId
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import PaperUnknown
from paperjobs_runner.services import feed_cache
from paperjobs_runner.services.arxiv import Arxiv
from paperjobs_runner.services.feed_cache import FeedCache
from paperjobs_runner.services.redis_link import connect
from paperjobs_runner.settings import ArxivSettings, RedisSettings
from paperjobs_standins.arxiv import ArxivStandin
from paperjobs_standins.loopback import LoopbackServer

pytestmark = pytest.mark.usefixtures("redis_client")

PAPER = ArxivId(base="1706.03762")
KEY = "{paperjobs}:arxiv:feed:1706.03762"
WITHDRAWN = (
    '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:arxiv="http://arxiv.org/schemas/atom"><entry>'
    "<id>http://arxiv.org/abs/1706.03762v8</id><arxiv:comment>withdrawn</arxiv:comment></entry></feed>"
)


@pytest.fixture
def valkey(valkey_port: int) -> Iterator[Redis]:
    settings = RedisSettings(host="127.0.0.1", port=valkey_port, username=None, password=None, tls=False, db=0)
    with connect(settings) as client:
        yield client


@pytest.fixture
def server() -> Iterator[LoopbackServer[ArxivStandin]]:
    server = LoopbackServer(ArxivStandin())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def arxiv(server: LoopbackServer[ArxivStandin], valkey: Redis) -> Iterator[Arxiv]:
    env = server.env()
    settings = ArxivSettings(
        api_url=env["ARXIV_API_URL"], pdf_url=env["ARXIV_PDF_URL"], user_agent="paperjobs-test", interval_s=0
    )
    deadline = replace(Deadline.after(600), sleep=lambda _seconds: None)
    with Arxiv(settings, deadline, feeds=FeedCache(valkey)) as arxiv:
        yield arxiv


def test_what_arxiv_said_is_known_for_hours_and_then_forgotten(arxiv: Arxiv, valkey: Redis) -> None:
    assert FeedCache(valkey).get(PAPER) is None
    paper = arxiv.metadata(PAPER)
    assert FeedCache(valkey).get(PAPER) == paper
    assert 0 < valkey.ttl(KEY) <= feed_cache.KEPT_S <= 12 * 3600


def test_a_version_is_kept_apart_from_the_latest(arxiv: Arxiv, valkey: Redis) -> None:
    arxiv.metadata(PAPER.at(2))
    assert FeedCache(valkey).get(PAPER) is None
    found = FeedCache(valkey).get(PAPER.at(2))
    assert found is not None
    assert found.id == PAPER.at(2)


def test_a_paper_that_arxiv_does_not_have_or_that_is_withdrawn_is_asked_about_again(
    arxiv: Arxiv, server: LoopbackServer[ArxivStandin], valkey: Redis
) -> None:
    with pytest.raises(PaperUnknown):
        arxiv.metadata(ArxivId(base="2912.00001"))
    server.fault("reply", body=WITHDRAWN)
    assert arxiv.metadata(PAPER).withdrawn
    assert valkey.keys("*") == []


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "nonsense",
        "\x00",
        '{"title": "x"}',
        "<feed xmlns='http://www.w3.org/2005/Atom'/>",
        "<feed xmlns='http://www.w3.org/2005/Atom'><entry><id>http://arxiv.org/abs/2301.00001v1</id></entry></feed>",
        "<feed xmlns='http://www.w3.org/2005/Atom'><entry><id>http://arxiv.org/api/errors#x</id></entry></feed>",
        "<!DOCTYPE f [<!ENTITY a 'aaaa'>]><feed xmlns='http://www.w3.org/2005/Atom'>&a;</feed>",
        "<feed>" + "x" * feed_cache.MAX_CHARACTERS,
    ],
)
def test_an_entry_that_is_not_arxivs_answer_about_the_paper_is_as_if_there_were_none(entry: str, valkey: Redis) -> None:
    valkey.set(KEY, entry)
    assert FeedCache(valkey).get(PAPER) is None


def test_an_entry_of_another_kind_is_as_if_there_were_none(valkey: Redis) -> None:
    valkey.lpush(KEY, "x")
    assert FeedCache(valkey).get(PAPER) is None


def test_an_answer_that_is_too_large_is_not_kept(valkey: Redis) -> None:
    FeedCache(valkey).keep(PAPER, b"x" * (feed_cache.MAX_CHARACTERS + 1))
    assert valkey.keys("*") == []


@pytest.mark.parametrize("redis", ["none", "gone"])
def test_without_redis_nothing_is_kept_and_nothing_fails(redis: str) -> None:
    gone = RedisSettings(host="127.0.0.1", port=1, username=None, password=None, tls=False, db=0)
    cache = FeedCache(None if redis == "none" else connect(gone))
    cache.keep(PAPER, b"x")
    assert cache.get(PAPER) is None

"""arXiv's answers about papers, kept in Redis for the other pipelines' runs about the same paper.

arXiv asks for that: what its API says about a query changes once a day (info.arxiv.org/help/api/user-manual.html). The
answer is kept as it came and read again as if it had just come, so that whatever stands in Redis is trusted no more
than arXiv. A paper that arXiv does not have, or that is withdrawn, is asked about again by every run.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from paperjobs_runner.arxiv_id import ArxivId
from paperjobs_runner.errors import RunnerError
from paperjobs_runner.services.arxiv_feed import PaperMetadata, read_feed

if TYPE_CHECKING:
    from redis import Redis

KEPT_S: Final = 6 * 3600
"""Seconds. So long may a link without a version still mean the version before; arXiv announces new ones once a day. It
also bounds how many answers there are: at arXiv's rate no more than 7,200, of 5 kB each."""
MAX_CHARACTERS: Final = 300_000
"""Of one answer; one about a paper with 3,000 authors has 200,000."""
_PREFIX: Final = "{paperjobs}:arxiv:feed:"

_log = logging.getLogger(__name__)


class FeedCache:
    """arXiv's answers by identifier; without Redis, and while that cannot be asked, there are none."""

    def __init__(self, redis: Redis | None = None) -> None:
        self._redis = redis

    def get(self, wanted: ArxivId) -> PaperMetadata | None:
        """What arXiv said about the paper in the last hours; None when that is not known."""
        feed = self._read(wanted)
        if not feed or len(feed) > MAX_CHARACTERS:
            return None
        try:
            return read_feed(feed.encode(), wanted)
        except (RunnerError, UnicodeEncodeError):
            return None

    def keep(self, wanted: ArxivId, feed: bytes) -> None:
        """Keep an answer that holds the paper."""
        from redis.exceptions import RedisError

        if self._redis is None or len(feed) > MAX_CHARACTERS:
            return
        try:
            self._redis.set(f"{_PREFIX}{wanted}", feed, ex=KEPT_S)
        except (RedisError, OSError) as error:
            _log.warning("arXiv's answer was not kept (%s)", type(error).__name__)

    def _read(self, wanted: ArxivId) -> str | None:
        from redis.exceptions import RedisError

        if self._redis is None:
            return None
        try:
            feed = self._redis.get(f"{_PREFIX}{wanted}")
        except (RedisError, OSError) as error:
            _log.warning("no kept answer of arXiv: Redis cannot be asked (%s)", type(error).__name__)
            return None
        return feed if isinstance(feed, str) else None

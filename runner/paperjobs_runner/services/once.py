"""Work that several runs need is done by one of them: the others wait for it, then find it done.

A paper's four jobs often run at the same time, each in a pod of its own. Whoever is first takes a lease in Redis and
works; the lease is renewed meanwhile, given back at the end, and runs out soon when its holder was killed. Without
Redis, or while that cannot be asked, nothing is waited for: the work may be done twice, and what is kept of it is then
the first one's (`storage.py`).
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from paperjobs_runner.deadline import CALL_RESERVE_S, Deadline
from paperjobs_runner.errors import RateLimited

if TYPE_CHECKING:
    from redis import Redis
    from redis.lock import Lock

TTL_S: Final = 10.0
"""Seconds that a lease outlives a holder that was killed. Renewed three times within that, so that a Redis that is away
for a few seconds ends none."""
LOOK_AGAIN_S: Final = 0.2
"""Seconds between two looks of those who wait."""
LONGEST_WAIT_S: Final = 300.0
"""Seconds: Adobe's longest extraction (`adobe.STAGE_S`) and the download before it."""
AGAIN_MS: Final = 10_000
"""Milliseconds until a run that waited in vain is started again: by then its time has passed in another's work."""
_PREFIX: Final = "{paperjobs}:lease:"

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class Once:
    """One run's leases."""

    def __init__(self, redis: Redis | None, deadline: Deadline, *, ttl_s: float = TTL_S) -> None:
        self._redis = redis
        self._deadline = deadline
        self._ttl_s = ttl_s

    def do(self, name: str, look: Callable[[], _T | None], work: Callable[[], _T]) -> _T:
        """What `look` finds, else what `work` makes: `work` of one name runs in one run at a time, after another look.

        Raises RateLimited, which costs no attempt, when another run is at it for too long.
        """
        if (found := look()) is not None:
            return found
        with self._alone(name):
            found = look()
            return work() if found is None else found

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        if self._redis is None:
            yield
            return
        from redis.lock import Lock

        lock = Lock(self._redis, _PREFIX + name, timeout=self._ttl_s, thread_local=False)
        if not self._acquired(lock, name):
            yield
            return
        ended = threading.Event()
        threading.Thread(target=self._renew, args=(lock, ended), name=f"lease {name}", daemon=True).start()
        try:
            yield
        finally:
            ended.set()
            _give_back(lock)

    def _acquired(self, lock: Lock, name: str) -> bool:
        """Whether the lease is held; False when Redis cannot be asked. Once it told of another holder, that is waited
        for through its outages too: it is at work."""
        from redis.exceptions import RedisError

        give_up_at = self._deadline.clock() + self._longest_wait()
        waiting = False
        while True:
            try:
                if lock.acquire(blocking=False):
                    return True
            except (RedisError, OSError) as error:
                if not waiting:
                    _log.warning("no lease on %s: Redis cannot be asked (%s)", name, type(error).__name__)
                    return False
            if not waiting:
                _log.info("another run is at %s; waiting for it", name)
                waiting = True
            if self._deadline.clock() + LOOK_AGAIN_S > give_up_at:
                raise RateLimited(
                    f"another run is still at {name}; this one is tried again later", retry_after_ms=AGAIN_MS
                )
            self._deadline.sleep(LOOK_AGAIN_S)

    def _longest_wait(self) -> float:
        """Half of what is left, at most: the rest must do for the run's own work."""
        return min(LONGEST_WAIT_S, (self._deadline.remaining() - CALL_RESERVE_S) / 2)

    def _renew(self, lock: Lock, ended: threading.Event) -> None:
        from redis.exceptions import LockError, RedisError

        while not ended.wait(self._ttl_s / 3):
            try:
                lock.reacquire()
            except LockError:
                if not ended.is_set():
                    _log.warning("the lease %s was lost; the work goes on", lock.name)
                return
            except (RedisError, OSError):
                continue  # perhaps it answers before the lease runs out


def _give_back(lock: Lock) -> None:
    from redis.exceptions import RedisError

    with contextlib.suppress(RedisError, OSError):  # else it runs out
        lock.release()

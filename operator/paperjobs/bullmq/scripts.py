"""Every Lua script we run, one typed method each: BullMQ's through its own package, ours from `lua/`.

All errors of Redis become RedisUnavailable here; a refusal by one of BullMQ's scripts becomes ScriptRefused. Nothing is
retried at this level: a claim whose answer was lost may have been made, and a second one would be a second start.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from types import SimpleNamespace
from typing import Any, Final, cast

import msgpack
from bullmq.redis_connection import RedisConnection, loadScript
from bullmq.scripts import Scripts
from redis.asyncio import Redis

from paperjobs.bullmq import parse
from paperjobs.bullmq.connection import ask
from paperjobs.model import JobState, RateLimit

START_RETENTION_MS: Final = 24 * 3_600_000
"""How long a start is remembered at least: a window that is edited to be longer sees a day back."""

STARTS_KEPT: Final = 50_000
"""Starts remembered at most beyond what the window needs: about 5 MB of Redis."""

LIFE_IS_OVER: Final = {"pjl": ""}
"""Fields written with a final outcome: if somebody retries the job, that is a new life without a recorded launch."""

STALLED_INTERVAL_MS: Final = 30_000
MAX_STALLED_COUNT: Final = 1
"""The defaults of npm's Worker options stalledInterval and maxStalledCount."""

OWN_SCRIPTS: Final = (
    "observe",
    "reserve",
    "claim",
    "return",
    "bury",
    "hold",
    "restore_starts",
    "relock",
    "record_launch",
    "load",
    "mirror",
    "states",
    "request_cancel",
    "take",
)
"""Files of `lua/`."""

BEGIN_WITH: Final = {
    "clock": frozenset({"observe", "reserve", "claim", "restore_starts", "hold", "take", "bury"}),
    "window": frozenset({"observe", "reserve", "claim", "restore_starts"}),
    "burial": frozenset({"claim", "bury"}),
}
"""What some of them have in common, by the name of its file."""


KINDS: Final = {
    **dict.fromkeys(("wait", "active", "paused"), "list"),
    **dict.fromkeys(("prioritized", "delayed", "completed", "failed", "waiting-children", "marker"), "zset"),
    **dict.fromkeys(("limiter", "id", "pc", "stalled-check", "paperjobs:hold"), "string"),
    **dict.fromkeys(("meta", "paperjobs:mirror", "paperjobs:leader"), "hash"),
    **{"events": "stream", "stalled": "set", "paperjobs:starts": "zset"},
}
"""What a queue's own keys are to Redis. A job that was added under the id of one of them is kept there instead."""


class ScriptRefused(Exception):
    """A BullMQ script declined; `code` is one of BullMQ's ErrorCode values."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class _RefusingScripts(Scripts):  # type: ignore[misc]  # bullmq publishes no types
    """BullMQ's Scripts, whose refusals keep their code: the package itself tells them apart by message only."""

    def finishedErrors(self, opts: dict[str, Any]) -> Exception:
        return ScriptRefused(opts["code"], str(super().finishedErrors(opts)))


@dataclass(frozen=True, kw_only=True)
class FinishingJob:
    """What BullMQ's finishing script reads of a job, under the names that the package expects."""

    id: str
    attempts: int
    attemptsMade: int
    opts: Mapping[str, Any]
    queue: Any = field(default_factory=lambda: SimpleNamespace(opts={}))


@dataclass(frozen=True, kw_only=True)
class Damaged:
    """A job that BullMQ's script could not claim; it is out of the queue."""

    job_id: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Reign:
    """Who acts: an installation's leading replica, and which term of leadership this is. Scripts that start something
    refuse a term once a later one of the same installation has acted."""

    installation: str
    term: int


def own_script(name: str) -> str:
    """The text of one of our scripts, with what it begins with or includes of BullMQ's."""
    lua = files("paperjobs.bullmq") / "lua"
    parts = [(lua / f"{common}.lua").read_text() for common, users in BEGIN_WITH.items() if name in users]
    for line in (lua / f"{name}.lua").read_text().splitlines():
        _, included, script = line.partition("--@bullmq ")
        parts.append(loadScript(script) if included else line)
    return "\n".join(parts)


class QueueScripts:
    """The scripts of one queue over one client."""

    def __init__(self, client: Redis, prefix: str, queue: str) -> None:
        self._client = client
        self._bullmq = _RefusingScripts(prefix, queue, RedisConnection(client))
        self._own = {name: client.register_script(own_script(name)) for name in OWN_SCRIPTS}
        self._base = f"{prefix}:{queue}:"

    def key(self, name: str) -> str:
        """A key of this queue: one of BullMQ's names, or a job id."""
        return self._base + name

    async def reserve(self, token: str, limit: RateLimit | None, reign: Reign) -> int:
        """0 when a start was reserved, else the time to ask again at."""
        args = [token, *_window(limit), reign.installation, reign.term]
        return int(await self._run("reserve", self._of_starts(), args))

    async def claim(
        self, token: str, lock_ms: int, limit: RateLimit | None, reign: Reign
    ) -> tuple[str, dict[str, str]] | Damaged | int | None:
        """Claim the next job under the window: its id and hash; or the time at which the window or hold opens; or None
        when there is no job. `pb` (processedBy) is set to the token in the same step."""
        names = ["wait", "active", "prioritized", "events", "stalled", "limiter", "delayed", "paused", "meta", "pc"]
        opts = msgpack.packb({"token": token, "lockDuration": lock_ms, "name": token}, use_bin_type=True)
        args = [self._base, "", opts, token, *_window(limit), reign.installation, reign.term]
        answer = await self._run("claim", [*self._bullmq.getKeys([*names, "marker"]), *self._of_starts()], args)
        if isinstance(answer, int):
            return answer
        if not answer[0]:
            return None
        if answer[0] == "damaged":
            return Damaged(job_id=answer[1], why=answer[2])
        flat = answer[0]
        return str(answer[1]), dict(zip(flat[::2], flat[1::2], strict=True))

    async def restore_starts(self, starts: Mapping[str, int]) -> int:
        """Put back starts that Redis no longer knows; how many those were."""
        flat = [part for token, at in starts.items() for part in (token, at)]
        keys = [self.key("paperjobs:starts")]
        return int(await self._run("restore_starts", keys, [START_RETENTION_MS, *flat]))

    async def hold(self, duration_ms: int) -> None:
        await self._run("hold", [self.key("paperjobs:hold")], [duration_ms])

    async def observe(self, limit: RateLimit | None, reign: Reign, own_tokens: str) -> list[Any]:
        """The raw answer of observe.lua."""
        names = ("wait", "active", "prioritized", "delayed", "completed", "failed", "waiting-children", "paused")
        keys = [*map(self.key, names), self.key("meta"), self.key("limiter")]
        keys += [*self._of_starts(), self.key("paperjobs:cancel")]
        args = [self._base, *_window(limit), reign.installation, reign.term, own_tokens]
        return cast(list[Any], await self._run("observe", keys, args))

    async def misused(self) -> list[str]:
        """The queue's own keys that hold something else than they should."""
        found = {name: await ask(self._client.type(self.key(name))) for name in KINDS}
        return [self.key(name) for name, kind in found.items() if kind not in (KINDS[name], "none")]

    async def relock(self, job_id: str, token: str, claim: int, lock_ms: int) -> bool:
        keys = [self.key(job_id), self.key(job_id) + ":lock", self.key("active"), self.key("stalled")]
        return bool(await self._run("relock", keys, [job_id, token, lock_ms, claim]))

    async def record_launch(self, job_id: str, token: str, claim: int) -> None:
        await self._run("record_launch", [self.key(job_id), self.key("active")], [job_id, token, claim])

    async def load(self, job_id: str, token: str, claim: int) -> dict[str, str] | None:
        """The hash of an active job, or None when that claim is over."""
        flat = await self._run("load", [self.key(job_id), self.key("active")], [job_id, token, claim])
        return dict(zip(flat[::2], flat[1::2], strict=True)) or None

    async def request_cancel(self, job_id: str, message: str) -> tuple[str, str]:
        """Where the job stands, and who holds it or why it failed; see request_cancel.lua."""
        names = ("active", "delayed", "waiting-children", "completed", "failed", "paperjobs:cancel", "paperjobs:wake")
        keys = [self.key(job_id), self.key(job_id) + ":lock", *map(self.key, names)]
        state, who = await self._run("request_cancel", keys, [job_id, message])
        return state, who

    async def take(self, job_id: str, token: str, lock_ms: int) -> dict[str, str] | None:
        """The hash of the job that was taken to be cancelled, or None."""
        names = ("active", "wait", "paused", "prioritized", "delayed", "waiting-children", "events", "paperjobs:cancel")
        keys = [self.key(job_id), self.key(job_id) + ":lock", *map(self.key, names)]
        flat = await self._run("take", keys, [job_id, token, lock_ms])
        return dict(zip(flat[::2], flat[1::2], strict=True)) or None

    async def mirror(self, concurrency: int, limit: RateLimit | None) -> None:
        keys = [self.key("meta"), self.key("paperjobs:mirror"), self.key("limiter")]
        await self._run("mirror", keys, [concurrency, *_window(limit)[:2]])

    async def states(self, job_ids: Iterable[str]) -> list[JobState]:
        """The state of each job, in their order."""
        ids = list(job_ids)
        if not ids:
            return []
        keys = [self.key(name) for name in ("active", "delayed", "completed", "failed")]
        return [parse.job_state(answer) for answer in await self._run("states", keys, [self._base, *ids])]

    async def move_to_completed(self, job: FinishingJob, token: str, value: Any, fields: Mapping[str, str]) -> None:
        remove = job.opts.get("removeOnComplete", False)
        keys, args = self._bullmq.moveToFinishedArgs(
            job, value, "returnvalue", remove, "completed", token, False, {**fields, **LIFE_IS_OVER}
        )
        await ask(self._bullmq.moveToFinished(job.id, keys, args))

    async def move_to_failed(self, job: FinishingJob, token: str, reason: str, fields: Mapping[str, str]) -> None:
        remove = job.opts.get("removeOnFail", False)
        keys, args = self._bullmq.moveToFailedArgs(job, reason, remove, token, False, {**fields, **LIFE_IS_OVER})
        await ask(self._bullmq.moveToFinished(job.id, keys, args))

    async def retry(self, job: FinishingJob, token: str, delay_ms: int, fields: Mapping[str, str]) -> None:
        """Back to waiting at once, or to delayed, with one more attempt made."""
        if delay_ms == 0:
            lifo = bool(job.opts.get("lifo", False))
            await ask(self._bullmq.retryJob(job.id, lifo, token, {"fieldsToUpdate": fields}))
        else:
            now = await self.now()
            await ask(self._bullmq.moveToDelayed(job.id, now, delay_ms, token, {"fieldsToUpdate": fields}))

    async def return_to_wait(self, job_id: str, token: str, *, disrupted: bool) -> None:
        """Back to the front of the waiting jobs without an attempt, as npm's RateLimitError does. A disruption is
        counted in the job's hash, in the same step."""
        names = ["active", "wait", "stalled", "paused", "meta", "limiter", "prioritized", "marker", "events"]
        args = [job_id, token, self.key(job_id), int(disrupted)]
        code = int(await self._run("return", self._bullmq.getKeys(names), args))
        if code < 0:
            raise ScriptRefused(code, f"moveJobFromActiveToWait of job {json.dumps(job_id)[:100]} answered {code}")

    async def bury(self, job_id: str, token: str, why: str) -> str:
        """Fail a job that BullMQ's scripts cannot end; why it failed, empty when the claim is over."""
        keys = [self.key(job_id), self.key(job_id) + ":lock"]
        return str(await self._run("bury", keys, [self._base, job_id, token, why]))

    async def return_later(self, job_id: str, token: str, delay_ms: int, fields: Mapping[str, str]) -> None:
        """To delayed, without an attempt."""
        opts = {"skipAttempt": True, "fieldsToUpdate": fields}
        await ask(self._bullmq.moveToDelayed(job_id, await self.now(), delay_ms, token, opts))

    async def return_abandoned(self) -> None:
        """BullMQ's own stalled check, as every stock worker runs it; at most once in `STALLED_INTERVAL_MS`."""
        await ask(self._bullmq.moveStalledJobsToWait(MAX_STALLED_COUNT, STALLED_INTERVAL_MS))

    def _of_starts(self) -> list[str]:
        return [self.key(f"paperjobs:{name}") for name in ("starts", "hold", "leader")]

    async def now(self) -> int:
        """The server's clock (ms): ours may be behind."""
        seconds, microseconds = await ask(self._client.time())
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def _run(self, name: str, keys: list[str], args: list[Any]) -> Any:
        return await ask(self._own[name](keys=keys, args=args))


def _window(limit: RateLimit | None) -> list[int]:
    """How window.lua is told of a limit, and what it is to remember."""
    return [limit.max if limit else 0, limit.per_ms if limit else 0, START_RETENTION_MS, STARTS_KEPT]

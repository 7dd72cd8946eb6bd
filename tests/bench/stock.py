"""A Node process with the stock BullMQ client (`stock.mjs`): the producer, or the baseline's workers."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from support.tether import tethered

SCRIPT: Final = Path(__file__).with_name("stock.mjs")


@dataclass(frozen=True, kw_only=True)
class Added:
    """A job that was queued; times are seconds of time.monotonic()."""

    job_id: str
    called_at: float
    """When queue.add was called."""
    returned_at: float


class StockProcess:
    """A running process; made by `stock_process`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.pid: Final = process.pid
        self._process = process
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._picks: dict[tuple[str, str], asyncio.Future[float]] = {}
        self._reader = asyncio.create_task(self._read())

    async def add(self, queue: str, data: Mapping[str, Any], **options: Any) -> Added:
        """`queue.add` with these options."""
        answer = await self._ask("add", queue=queue, data=data, options=options)
        return Added(job_id=answer["jobId"], called_at=_seconds(answer["at"]), returned_at=_seconds(answer["added"]))

    async def work(self, queue: str) -> None:
        """Start a stock worker; returns when it is connected."""
        await self._ask("work", queue=queue)

    async def picked(self, queue: str, job_id: str) -> float:
        """When the worker's processor was called for this job (monotonic seconds)."""
        async with asyncio.timeout(20):
            return await self._pick(queue, job_id)

    async def close(self) -> None:
        """End the process."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reader

    async def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        request = next(self._ids)
        self._answers[request] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"id": request, "command": command, **arguments}).encode() + b"\n")
        async with asyncio.timeout(20):
            return await self._answers[request]

    def _pick(self, queue: str, job_id: str) -> asyncio.Future[float]:
        return self._picks.setdefault((queue, job_id), asyncio.get_running_loop().create_future())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            if said.get("event") == "picked":
                self._pick(said["queue"], said["jobId"]).set_result(_seconds(said["at"]))
            elif "error" in said:
                self._answers.pop(said["id"]).set_exception(RuntimeError(said["error"]))
            else:
                self._answers.pop(said["id"]).set_result(said["result"])


@asynccontextmanager
async def stock_process(node: Path, webapp_dir: Path, redis_port: int) -> AsyncIterator[StockProcess]:
    """A process whose clients use the Redis at this loopback port."""
    process = await asyncio.create_subprocess_exec(
        *tethered([str(node), str(SCRIPT), str(webapp_dir)]),
        env={**os.environ, "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis_port)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    stock = StockProcess(process)
    try:
        yield stock
    finally:
        await stock.close()


def _seconds(nanoseconds: str) -> float:
    return int(nanoseconds) / 1e9

"""The web app's side of a test: npm `bullmq` in a Node process of its own, driven over JSON lines.

`tests/webapp/src/commands.ts` lists the commands and their arguments; here each is a call of `WebApp.ask`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from support.tether import tethered

ANSWER_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of the longest answer: the events of a whole queue, or a job with a hostile payload."""


class WebAppError(Exception):
    """The npm client's promise was rejected; the message is the error's."""


class WebApp:
    """A running driver; made by `web_app`. Requests may overlap."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read())

    async def ask(self, command: str, **args: Any) -> Any:
        """What the command answers; raises WebAppError when it was rejected, or when the process ended."""
        if self._reader.done():
            raise WebAppError("the Node process has ended")
        assert self._process.stdin is not None
        request = next(self._ids)
        self._waiting[request] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"id": request, "command": command, "args": args}).encode() + b"\n")
        return await self._waiting[request]

    async def add(self, queue: str, data: Any = None, /, *, name: str = "paper", **opts: Any) -> str:
        """`queue.add`; the options are BullMQ's. Returns the job's id."""
        job_id = await self.ask("add", queue=queue, name=name, data={} if data is None else data, opts=opts)
        assert isinstance(job_id, str)
        return job_id

    async def inspect(self, queue: str, job_id: str) -> dict[str, Any] | None:
        """What the npm client says of a job; None when it does not exist (any more)."""
        found: dict[str, Any] | None = await self.ask("inspect", queue=queue, jobId=job_id)
        return found

    async def wait(self, queue: str, job_id: str, *, seconds: float = 20) -> Any:
        """`job.waitUntilFinished`: its result; WebAppError with its failedReason, or when time is over."""
        return await self.ask("wait", queue=queue, jobId=job_id, timeoutMs=round(seconds * 1000))

    async def events(self, queue: str) -> list[dict[str, Any]]:
        """Every event of a queue since it exists, as `QueueEvents` tells them."""
        told: list[dict[str, Any]] = await self.ask("events", queue=queue)
        return told

    async def close(self) -> None:
        """End the process; what is still asked is rejected."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            answer = json.loads(line)
            waiting = self._waiting.pop(answer["id"])
            if waiting.done():
                continue
            if "error" in answer:
                waiting.set_exception(WebAppError(answer["error"]))
            else:
                waiting.set_result(answer["result"])
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(WebAppError("the Node process has ended"))


@asynccontextmanager
async def web_app(
    node: str | Path, webapp_dir: Path, port: int, *, bullmq: int = 6, prefix: str = "bull"
) -> AsyncIterator[WebApp]:
    """A web app on the Redis at `port` of the loopback; `bullmq` is the major version of its client."""
    build(node, webapp_dir)
    driver = webapp_dir / "dist" / "driver.js"
    process = await asyncio.create_subprocess_exec(
        *tethered([str(node), str(driver), str(bullmq), prefix]),
        env={**os.environ, "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(port), "REDIS_PASSWORD": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=ANSWER_LIMIT,
    )
    app = WebApp(process)
    try:
        yield app
    finally:
        await app.close()


def build(node: str | Path, webapp_dir: Path) -> None:
    """Compile the driver when its source is newer; `npm ci` has compiled it once. Type errors fail the test."""
    sources = [*webapp_dir.glob("src/*.ts"), webapp_dir / "tsconfig.json"]
    built = webapp_dir / "dist" / "driver.js"
    if built.exists() and built.stat().st_mtime >= max(source.stat().st_mtime for source in sources):
        return
    compiler = webapp_dir / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run(
        [str(node), str(compiler), "--project", str(webapp_dir)], capture_output=True, text=True, timeout=120
    )
    if done.returncode != 0:
        raise RuntimeError(f"the web app does not compile:\n{done.stdout}{done.stderr}")

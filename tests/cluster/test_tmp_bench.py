from __future__ import annotations

import asyncio
import time

import pytest
from test_operator_process import _crds, add, kubectl, paperqueue, phases, start, until  # noqa

pytestmark = pytest.mark.usefixtures("redis_client", "test_node")


async def test_latency(start, kubectl, valkey_port, control_plane, namespace):
    replica = start()
    kubectl("apply", "-f", "-", stdin=paperqueue(concurrency=50))
    until(replica.ready)
    lat = []
    for i in range(25):
        t = time.time()
        await add(valkey_port, {"paperId": str(i)})
        line = until(lambda: [l for l in replica.lines() if l.get("action") == "launched"][i:], 10)[0]
        from datetime import datetime

        lat.append((datetime.fromisoformat(line["time"]).timestamp() - t) * 1000)
        await asyncio.sleep(0.3)
    lat.sort()
    print("latency ms p50", lat[12], "max", lat[-1])
    t = time.time()
    await add(valkey_port, *[{"paperId": str(i)} for i in range(150)])
    until(lambda: len(replica.actions()) and replica.actions().count("settled") >= 175, 120)
    print("150 jobs in", time.time() - t)
    await asyncio.sleep(2)
    m = replica.get("/metrics")[1]
    for l in m.splitlines():
        if l.startswith(("paperjobs_api_requests_total", "process_cpu_seconds_total", "process_resident")):
            print(l)
    print(kubectl("get", "pq"))
    print(kubectl("get", "pj")[:400])

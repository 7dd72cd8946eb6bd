"""Secrets are planted in every setting, everything fails in turn, and all that was written anywhere is searched."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, quote_plus, urlsplit, urlunsplit

import boto3
import psycopg
import pytest
from redis import Redis

import paperjobs_standins.adobe
import paperjobs_standins.asana
from paperjobs_runner.database_url import normalise_database_url
from paperjobs_runner.pipelines import PIPELINES
from paperjobs_runner.store.migrate import upgrade
from paperjobs_standins.server import SERVICES
from support.pipeline_runs import Surrounded, surrounded
from support.runner_process import run
from support.valkey import valkey_server

PLANTED: Final = {
    "REDIS_PASSWORD": 'canary-redis/+"=1',
    "ANTHROPIC_API_KEY": "sk-ant-canary-claude_2",
    "ADOBE_CLIENT_ID": "canary-adobe-id-3",
    "ADOBE_CLIENT_SECRET": 'canary-adobe/+"=4',
    "AWS_ACCESS_KEY_ID": "AKIACANARY5AAAAAAAAA",
    "AWS_SECRET_ACCESS_KEY": 'canary-aws/+"=6',
    "AWS_SESSION_TOKEN": 'canary-session/+"=7',
    "ASANA_API_KEY": "2/canary/asana-8",
}
DATABASE_PASSWORD: Final = "canary-database/+@9"

Fault = tuple[str, dict[str, Any]]
"""The service, and how it fails."""

REFUSALS: Final[list[Fault]] = [(service, {"kind": "status", "status": status, "times": None})
    for service in SERVICES for status in (401, 403, 404, 429, 500)]  # fmt: skip
BREAKDOWNS: Final[list[Fault]] = [(service, {"kind": kind, "times": None})
    for service in SERVICES for kind in ("garbage", "reset", "truncate")]  # fmt: skip
ON_THE_WAY: Final[list[Fault]] = [("adobe", {"kind": kind, "path": path, "times": None, "status": 403})
    for path in ("/storage/", "/operation", "/token") for kind in ("status", "reset", "garbage")]  # fmt: skip
SETTINGS: Final[list[dict[str, str]]] = [
    {},  # nothing fails
    {"DATABASE_URL": f"postgresql://u:{quote(DATABASE_PASSWORD, safe='')}@127.0.0.1:1/d"},
    {"DATABASE_URL": f"mysql://u:{DATABASE_PASSWORD}@h/d"},
    {"REDIS_PORT": "1"},
    {"REDIS_PASSWORD": "canary-wrong-redis"},
    {"AWS_S3_BUCKET": "no-such-bucket"},
    {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"},
    {"ANTHROPIC_API_KEY": "sk-ant-canary-wrong"},
    {"ADOBE_CLIENT_SECRET": "canary-wrong-adobe"},
    {"ASANA_API_KEY": "2/canary/wrong-asana"},
    {"ADOBE_CLIENT_ID": ""},
    {"PAPERJOBS_TIMEOUT_SECONDS": "6"},
]


@pytest.fixture
def secured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Redis]:
    """Services that take the planted secrets, and a Redis with a password."""
    monkeypatch.setattr(paperjobs_standins.adobe, "CLIENT_ID", PLANTED["ADOBE_CLIENT_ID"])
    monkeypatch.setattr(paperjobs_standins.adobe, "CLIENT_SECRET", PLANTED["ADOBE_CLIENT_SECRET"])
    monkeypatch.setattr(paperjobs_standins.asana, "API_KEY", PLANTED["ASANA_API_KEY"])
    folder = tmp_path / "valkey"
    folder.mkdir()
    with valkey_server(folder) as port, Redis(host="127.0.0.1", port=port, password=None) as client:
        client.config_set("requirepass", PLANTED["REDIS_PASSWORD"])
        with Redis(host="127.0.0.1", port=port, password=PLANTED["REDIS_PASSWORD"]) as allowed:
            yield allowed


@pytest.mark.timeout(400)
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_no_planted_secret_is_written_anywhere(
    pipeline: str, secured: Redis, new_database: Path, tmp_path: Path, postgres_url: str
) -> None:
    upgrade(normalise_database_url(postgres_url))
    parts = urlsplit(postgres_url)
    password = quote(DATABASE_PASSWORD, safe="")
    address = f"{parts.username}:{password}@{parts.hostname}:{parts.port}"
    settings = {
        "DATABASE_URL": urlunsplit(parts._replace(netloc=address)),
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(secured.connection_pool.connection_kwargs["port"]),
        **PLANTED,
    }
    faults = (
        [*REFUSALS, *BREAKDOWNS, *ON_THE_WAY] if pipeline == "llm-processing" else [*REFUSALS[10:15], *ON_THE_WAY[:3]]
    )
    cases: list[tuple[str, dict[str, Any], dict[str, str]]] = [(service, fault, {}) for service, fault in faults]
    cases += [("arxiv", {}, change) for change in SETTINGS]

    def written(number: int) -> tuple[str, list[str]]:
        service, fault, change = cases[number]
        with surrounded(pipeline, new_database, tmp_path / str(number)) as one:
            one.standins.anthropic.service._api_key = PLANTED["ANTHROPIC_API_KEY"]
            if fault:
                getattr(one.standins, service).fault(**fault)
            env = one.env | settings | {"PAPERJOBS_JOB_ID": str(number)} | change
            secured.hset(f"bull:{pipeline}:{number}", mapping={"data": "{}", "opts": "{}", "ats": "1"})
            ended = run(env)
            text = ended.output + Path(env["PAPERJOBS_TERMINATION_LOG"]).read_text() + _stored(one)
            signatures = [asset.signature for asset in one.standins.adobe.service._assets.values()]
        assert ended.report is not None, text
        return text, signatures

    with ThreadPoolExecutor(3) as threads:
        for number, (text, signatures) in enumerate(threads.map(written, range(len(cases)))):
            assert found(text, signatures) == [], f"{cases[number]}: {text}"
    everything = f"{_in_redis(secured)} {_in_database(postgres_url)}"
    assert len(everything) > 1000
    assert found(everything, []) == []


def found(text: str, more: list[str]) -> list[str]:
    """The secrets that stand in the text, in whatever form."""
    wrong = [value for change in SETTINGS for value in change.values() if "canary-wrong" in value]
    return [
        secret
        for secret in [*PLANTED.values(), DATABASE_PASSWORD, *wrong, *more]
        for form in forms(secret)
        if form in text
    ]


def forms(secret: str) -> set[str]:
    encoded = secret.encode()
    packed = {base64.b64encode(encoded), base64.b64encode(b"u:" + encoded), base64.urlsafe_b64encode(encoded)}
    packed |= {base64.b64encode(b":" + encoded)}
    plain = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    plain |= {json.dumps(json.dumps(secret))[1:-1], repr(secret)[1:-1]}
    return plain | {form.decode().rstrip("=") for form in packed}


def test_the_search_finds_a_secret_in_each_of_its_forms() -> None:
    for secret in PLANTED.values():
        for form in forms(secret):
            assert found(f"x{form}y", []), form


def _stored(one: Surrounded) -> str:
    """Every object of the bucket but the PDFs."""
    client = boto3.client("s3", endpoint_url=one.env["AWS_ENDPOINT_URL_S3"], region_name="us-east-1",
        aws_access_key_id="x", aws_secret_access_key="y")  # fmt: skip
    one.standins.s3.plan.clear()
    bucket = one.standins.s3.service.bucket
    client.list_buckets()
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return "".join(
        f"{key} {client.get_object(Bucket=bucket, Key=key)['Body'].read().decode()}"
        for key in keys
        if ".pdf" not in key
    )


def _in_redis(client: Redis) -> list[object]:
    keys: Any = client.keys("*")
    return [(key, _read(key, client)) for key in keys]


def _read(key: bytes, client: Redis) -> object:
    kind: Any = client.type(key)
    readers: dict[bytes, Callable[[], object]] = {
        b"hash": lambda: client.hgetall(key),
        b"list": lambda: client.lrange(key, 0, -1),
        b"stream": lambda: client.xrange(key),
        b"zset": lambda: client.zrange(key, 0, -1),
        b"string": lambda: client.get(key),
    }
    return readers[kind]()


def _in_database(url: str) -> list[object]:
    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'paperjobs'").fetchall()
        return [(name, connection.execute(f'SELECT * FROM paperjobs."{name}"').fetchall()) for (name,) in names]

"""boto3 against moto behind our transport: objects, conditions, faults."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from paperjobs_standins.server import Standins


@pytest.fixture
def bucket(standins: Standins) -> str:
    return standins.s3.service.bucket


@pytest.fixture
def s3(standins: Standins) -> Iterator[Any]:
    del standins  # it has set the environment from which boto3 takes address and credentials
    client = boto3.client("s3", config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=10))
    yield client
    client.close()


def test_the_bucket_exists_and_keeps_what_it_is_given(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="papers/hep-th 9711200v3.pdf", Body=b"%PDF-", ContentType="application/pdf")
    found = s3.get_object(Bucket=bucket, Key="papers/hep-th 9711200v3.pdf")
    assert (found["Body"].read(), found["ContentType"]) == (b"%PDF-", "application/pdf")
    assert "papers/hep-th 9711200v3.pdf" in [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]


def test_a_conditional_write_does_not_overwrite(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="once", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="once", Body=b"2", IfNoneMatch="*")
    assert caught.value.response["Error"]["Code"] == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="once")["Body"].read() == b"1"


def test_a_large_upload_in_parts_arrives_whole(s3: Any, bucket: str) -> None:
    content = bytes(range(256)) * 40_000
    s3.upload_fileobj(io.BytesIO(content), bucket, "large")
    assert s3.get_object(Bucket=bucket, Key="large")["Body"].read() == content


def test_a_missing_object_is_404(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as caught:
        s3.head_object(Bucket=bucket, Key="nothing")
    assert caught.value.response["Error"]["Code"] == "404"
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="nothing")
    assert caught.value.response["Error"]["Code"] == "NoSuchKey"


def test_faults_strike_s3_too(standins: Standins, s3: Any, bucket: str) -> None:
    standins.s3.fault("status", method="PUT", status=503)
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="slow", Body=b"1")
    assert caught.value.response["Error"]["Code"] == "SlowDown"
    s3.put_object(Bucket=bucket, Key="slow", Body=b"1")
    assert [one.status for one in standins.s3.requests] == [503, 200]

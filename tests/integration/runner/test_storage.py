"""The two storages, a folder and S3 (boto3 against the stand-in), through the same tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from paperjobs_runner.arxiv_id import ArxivId
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import ServiceFailed, ServiceRefused
from paperjobs_runner.services.storage import Storage, open_storage, storage_key
from paperjobs_runner.settings import StorageSettings
from paperjobs_standins.server import Standins

KEY = storage_key(ArxivId(base="math/0611800", version=2), "paper.pdf")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Standins]:
    """The S3 stand-in, with boto3's own variables set."""
    with Standins(["s3"]) as standins:
        for name, value in standins.env().items():
            monkeypatch.setenv(name, value)
        yield standins


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """A storage without files."""
    if request.param == "folder":
        folder = tmp_path / "kept" / "here"
        return open_storage(StorageSettings(bucket=None, region=None, folder=folder), Deadline.after(60))
    return s3_storage(request.getfixturevalue("s3"))


def s3_storage(standins: Standins, bucket: str | None = None, sleep: Callable[[float], None] = time.sleep) -> Storage:
    env = standins.env()
    settings = StorageSettings(bucket=bucket or env["AWS_S3_BUCKET"], region=env["AWS_REGION"], folder=None)
    return open_storage(settings, replace(Deadline.after(60), sleep=sleep))


def test_the_key_is_stable_and_has_no_slash_from_the_identifier() -> None:
    assert KEY == "papers/math_0611800/v2/paper.pdf"


def test_a_file_comes_back_as_it_was_put(storage: Storage, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"%PDF-" + bytes(range(256)) * 10_000)
    assert storage.get(KEY, target) is False
    storage.put(KEY, source, "application/pdf")
    assert storage.get(KEY, target) is True
    assert target.read_bytes() == source.read_bytes()


def test_the_first_writer_wins(storage: Storage, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for content in (b"first", b"second"):
        source.write_bytes(content)
        storage.put(KEY, source, "application/pdf")
    storage.get(KEY, target)
    assert target.read_bytes() == b"first"


def test_of_several_that_write_at_once_one_wins_whole(storage: Storage, tmp_path: Path) -> None:
    sources = [tmp_path / f"source-{number}" for number in range(8)]
    for number, source in enumerate(sources):
        source.write_bytes(bytes([number]) * 100_000)
    with ThreadPoolExecutor(8) as writers:
        for written in [writers.submit(storage.put, KEY, source, "application/pdf") for source in sources]:
            written.result()
    storage.get(KEY, tmp_path / "first")
    assert (tmp_path / "first").read_bytes() in [source.read_bytes() for source in sources]
    storage.put(KEY, sources[0], "application/pdf")
    storage.put(KEY, sources[1], "application/pdf")
    storage.get(KEY, tmp_path / "then")
    assert (tmp_path / "then").read_bytes() == (tmp_path / "first").read_bytes()
    assert sorted(path.name for path in (tmp_path / "kept").rglob("*") if path.is_file()) in ([], ["paper.pdf"])


def test_a_race_that_s3_breaks_off_with_409_is_tried_again(s3: Standins, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    slept: list[float] = []
    s3.s3.fault("status", status=409, method="PUT")
    s3_storage(s3, sleep=slept.append).put(KEY, tmp_path / "source", "application/pdf")
    assert slept == [1.0]
    assert [request.status for request in s3.s3.requests] == [409, 200]
    assert s3_storage(s3).get(KEY, tmp_path / "target")


def test_what_is_there_is_left_by_one_conditional_put(s3: Standins, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    for _ in range(2):
        s3_storage(s3).put(KEY, tmp_path / "source", "application/pdf")
    assert [(request.method, request.status) for request in s3.s3.requests] == [("PUT", 200), ("PUT", 412)]


def test_a_file_that_breaks_off_is_read_again(s3: Standins, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(range(256)) * 1000)
    slept: list[float] = []
    storage = s3_storage(s3, sleep=slept.append)
    storage.put(KEY, tmp_path / "source", "application/pdf")
    s3.s3.fault("truncate", method="GET")
    assert storage.get(KEY, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == (tmp_path / "source").read_bytes()
    assert slept == [1.0]


def test_a_bucket_without_credentials_says_what_is_missing(
    s3: Standins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it remembers the credentials of other tests
    with pytest.raises(ServiceRefused, match="no AWS credentials"):
        s3_storage(s3).get(KEY, tmp_path / "target")


def test_a_pod_s_role_does_in_place_of_keys(s3: Standins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on EKS (IRSA): a token file and a role, which boto3 exchanges for keys."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "token").write_text("token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/paperjobs-runner")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3.s3.url)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    (tmp_path / "source").write_bytes(b"x")
    s3_storage(s3).put(KEY, tmp_path / "source", "application/pdf")
    assert s3_storage(s3).get(KEY, tmp_path / "target")
    assert [request.method for request in s3.s3.requests] == ["POST", "PUT", "GET"]


def test_s3_that_stumbles_is_asked_again(s3: Standins, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    slept: list[float] = []
    s3.s3.fault("status", status=503, method="PUT")
    s3_storage(s3, sleep=slept.append).put(KEY, tmp_path / "source", "application/pdf")
    assert slept == [1.0]
    assert s3_storage(s3).get(KEY, tmp_path / "target")


def test_s3_that_refuses_is_not(s3: Standins, tmp_path: Path) -> None:
    s3_storage(s3).get(KEY, tmp_path / "target")
    s3.clear()
    s3.s3.fault("status", status=403, method="GET")
    with pytest.raises(ServiceRefused, match="AWS_S3_BUCKET"):
        s3_storage(s3).get(KEY, tmp_path / "target")
    assert len(s3.s3.requests) == 1


def test_a_bucket_that_does_not_exist_is_named_by_its_setting(s3: Standins, tmp_path: Path) -> None:
    with pytest.raises(ServiceRefused, match=r"AWS_S3_BUCKET \(NoSuchBucket\)"):
        s3_storage(s3, bucket="no-such-bucket").get(KEY, tmp_path / "target")


def test_s3_that_breaks_off_for_good_is_a_passing_fault(s3: Standins, tmp_path: Path) -> None:
    slept: list[float] = []
    s3.s3.fault("reset", times=None)
    with pytest.raises(ServiceFailed, match="S3"):
        s3_storage(s3, sleep=slept.append).get(KEY, tmp_path / "target")
    assert slept == [1.0, 2.0]


def test_a_folder_that_cannot_be_written_is_named_by_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    storage = open_storage(StorageSettings(bucket=None, region=None, folder=tmp_path / "file"), Deadline.after(60))
    with pytest.raises(ServiceRefused, match="PAPERJOBS_STORAGE_DIR"):
        storage.put(KEY, tmp_path / "file", "application/pdf")

"""Where a paper's files are kept: an S3 bucket, or a folder when no bucket is set.

Keys depend on paper and version alone, which never change on arXiv; so the first writer wins, a second run finds what
the first one fetched, and nothing is fetched twice. The bucket must stay private: arXiv does not
permit serving its PDFs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from paperjobs_runner.arxiv_id import ArxivId
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import ServiceFailed, ServiceRefused
from paperjobs_runner.services.patience import with_patience
from paperjobs_runner.settings import StorageSettings

_REFUSED: Final = frozenset(
    {
        "403",
        "AccessDenied",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidBucketName",
        "NoSuchBucket",
        "SignatureDoesNotMatch",
    }
)
_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_EXISTS: Final = frozenset({"412", "PreconditionFailed"})

_T = TypeVar("_T")


def storage_key(paper: ArxivId, name: str) -> str:
    """The stable key of one of a paper's files, such as `papers/2301.12345/v2/paper.pdf`."""
    return f"papers/{paper.squashed}/v{paper.version or 1}/{name}"


class Storage(Protocol):
    """Files by key."""

    def put(self, key: str, source: Path, content_type: str) -> None:
        """Keep a copy of `source`; what is there already stays."""

    def get(self, key: str, target: Path) -> bool:
        """Write the file into `target`; False when there is none."""


def open_storage(settings: StorageSettings, deadline: Deadline) -> Storage:
    """The storage that the settings name."""
    if settings.bucket is not None:
        return S3Storage(settings.bucket, settings.region, deadline)
    assert settings.folder is not None, "read_settings demands a bucket or a folder"  # noqa: S101
    return FolderStorage(settings.folder)


class FolderStorage:
    """Files in a folder; complete or absent, whenever the process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, key: str, source: Path, content_type: str) -> None:
        """Keep a copy of `source`; what is there already stays."""
        path = self._folder / key
        if path.exists():
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with source.open("rb") as content, tempfile.NamedTemporaryFile(dir=path.parent) as file:
                shutil.copyfileobj(content, file)
                file.flush()
                with suppress(FileExistsError):  # a link, unlike a rename, leaves what is there
                    os.link(file.name, path)
        except OSError as error:
            raise ServiceRefused(f"PAPERJOBS_STORAGE_DIR cannot be written ({error.strerror})") from None

    def get(self, key: str, target: Path) -> bool:
        """Write the file into `target`; False when there is none."""
        try:
            shutil.copyfile(self._folder / key, target)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ServiceRefused(f"PAPERJOBS_STORAGE_DIR cannot be read ({error.strerror})") from None
        return True


class S3Storage:
    """Files in an S3 bucket. The endpoint and credentials are boto3's own business (IRSA, AWS_ENDPOINT_URL_S3 …)."""

    def __init__(self, bucket: str, region: str | None, deadline: Deadline) -> None:
        import boto3
        from botocore.config import Config

        self._bucket = bucket
        self._deadline = deadline
        # One attempt: the run's own patience is capped, botocore's is not ours to bound.
        config = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 1})
        self._client = boto3.client("s3", region_name=region, config=config)

    def put(self, key: str, source: Path, content_type: str) -> None:
        """Keep a copy of `source`; what is there already stays (If-None-Match).

        When two write at once S3 may tell one of them ConditionalRequestConflict: tried again, as every failure.
        """

        def put() -> None:
            with source.open("rb") as body:
                self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*"
                )

        self._call(put, harmless=_EXISTS)

    def get(self, key: str, target: Path) -> bool:
        """Write the file into `target`; False when there is none."""

        def get() -> bool:
            answer: dict[str, Any] = self._client.get_object(Bucket=self._bucket, Key=key)
            with target.open("wb") as file:
                for chunk in answer["Body"].iter_chunks(1 << 20):
                    file.write(chunk)
            return True

        return self._call(get, harmless=_MISSING) or False

    def _call(self, call: Callable[[], _T], *, harmless: frozenset[str]) -> _T | None:
        """Call with patience; None when S3 answers with one of the `harmless` codes."""
        return with_patience(lambda: self._translated(call, harmless), deadline=self._deadline)

    def _translated(self, call: Callable[[], _T], harmless: frozenset[str]) -> _T | None:
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError

        try:
            return call()
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in harmless:
                return None
            if code in _REFUSED:
                raise ServiceRefused(f"S3 refuses the bucket in AWS_S3_BUCKET ({code})") from None
            raise ServiceFailed(f"S3 failed ({code})") from None
        except NoCredentialsError:
            raise ServiceRefused("no AWS credentials were found for the bucket in AWS_S3_BUCKET") from None
        except (HTTPClientError, BotoCoreError) as error:
            raise ServiceFailed(f"S3 cannot be reached ({type(error).__name__})") from None

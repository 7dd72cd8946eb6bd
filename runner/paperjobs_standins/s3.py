"""S3's stand-in: moto's S3, called in this process, behind the same transport and faults as the others.

moto is imported at the first request (1 s): a run that stores nothing does not wait for it.
"""

from __future__ import annotations

import secrets
import threading
from typing import Any

from paperjobs_standins.exchange import Answer, Request

REGION = "us-east-1"
ACCESS_KEY_ID = "AKIASTANDIN"
SECRET_ACCESS_KEY = "standin"


class S3Standin:
    """One bucket, made at the first request. moto keeps objects per process, so the bucket's name is its own."""

    name = "s3"

    def __init__(self, *, bucket: str | None = None) -> None:
        self.bucket = bucket or f"paperjobs-{secrets.token_hex(4)}"
        self._lock = threading.Lock()
        self._app: Any = None

    def env(self, base_url: str) -> dict[str, str]:
        """boto3's own variables and the bucket; the metadata service is off, since nothing must leave the machine."""
        return {
            "AWS_ENDPOINT_URL_S3": base_url,
            "AWS_S3_BUCKET": self.bucket,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def failure(self, status: int) -> Answer:
        """S3's XML error."""
        codes = {
            403: "AccessDenied",
            404: "NoSuchKey",
            409: "ConditionalRequestConflict",
            429: "SlowDown",
            503: "SlowDown",
        }
        code = codes.get(status, "InternalError")
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>stand-in</Message></Error>'
        return Answer(status=status, body=body.encode(), content_type="application/xml")

    def empty(self) -> Answer:
        """200 without a body."""
        return Answer()

    def answer(self, request: Request) -> Answer:
        """Let moto answer."""
        with self._lock:
            if self._app is None:
                self._app = _moto()
                self._call("PUT", f"/{self.bucket}", b"", _signed({"host": request.headers.get("host", "127.0.0.1")}))
        return self._call(request.method, request.target, request.body, dict(request.headers))

    def _call(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> Answer:
        from werkzeug.datastructures import Headers
        from werkzeug.test import EnvironBuilder, run_wsgi_app

        path, _, query = target.partition("?")
        host = headers.pop("host", "127.0.0.1")
        # The body arrives whole, whatever its transfer coding was.
        headers.pop("transfer-encoding", None)
        headers["content-length"] = str(len(body))
        builder = EnvironBuilder(
            method=method,
            base_url=f"http://{host}/",
            path=path,
            query_string=query,
            headers=Headers(headers),
            data=body,
        )
        try:
            chunks, status, answered = run_wsgi_app(self._app, builder.get_environ(), buffered=True)
        finally:
            builder.close()
        kept = {name: value for name, value in answered.items() if name.lower() not in ("connection", "date", "server")}
        return Answer(status=int(status.split()[0]), body=b"".join(chunks), headers=kept)


def _moto() -> Any:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    return DomainDispatcherApplication(create_backend_app)


def _signed(headers: dict[str, str]) -> dict[str, str]:
    """moto finds the service in the credential scope of the Authorization header."""
    scope = f"Credential={ACCESS_KEY_ID}/20260101/{REGION}/s3/aws4_request"
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=00"}

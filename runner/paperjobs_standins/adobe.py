"""Adobe PDF Services' stand-in: token, assets, upload, Extract, polling and download, as pdfservices-sdk drives them.

The text is that of the uploaded PDF, read with pypdf; nothing is known about any paper. Error codes are those of
developer.adobe.com/document-services/docs/overview/pdf-extract-api/howtos/extract-api.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field

from paperjobs_standins.exchange import Answer, BadRequestBody, Request
from paperjobs_standins.pdf_elements import PdfRefused, archive, structured_data

CLIENT_ID = "standin-client"
CLIENT_SECRET = "standin-secret"
UPLOAD_LIMIT = 100 * 1024 * 1024
"""Bytes; Adobe refuses larger files (overview/limits.md)."""
TOKEN_SECONDS = 86_399
JSON_OUTPUT = "application/json"
ZIP_OUTPUT = "application/zip"


@dataclass
class _Asset:
    media_type: str
    signature: str = field(default_factory=lambda: secrets.token_hex(16))
    content: bytes | None = None


@dataclass
class _Job:
    asset: str
    polls: int = 0
    answer: dict[str, object] | None = None


class AdobeStandin:
    """Keeps assets and jobs in memory until it is dropped."""

    name = "adobe"

    def __init__(
        self, *, polls: int = 1, retry_after: int | str | None = 1, token_seconds: int = TOKEN_SECONDS
    ) -> None:
        """A job says "in progress" `polls` times and asks each time to wait `retry_after` (seconds, an HTTP date, or
        without saying how long). Tokens are said to last `token_seconds`."""
        self._polls, self._retry_after, self._token_seconds = polls, retry_after, token_seconds
        self._lock = threading.Lock()
        self._tokens: set[str] = set()
        self._assets: dict[str, _Asset] = {}
        self._jobs: dict[str, _Job] = {}

    def env(self, base_url: str) -> dict[str, str]:
        """The address, and the credentials that this stand-in accepts."""
        return {
            "ADOBE_PDF_SERVICES_URL": base_url,
            "ADOBE_CLIENT_ID": CLIENT_ID,
            "ADOBE_CLIENT_SECRET": CLIENT_SECRET,
        }

    def failure(self, status: int) -> Answer:
        """Adobe's error object."""
        codes = {
            401: "UNAUTHORIZED",
            403: "FORBIDDEN",
            404: "NOT_FOUND",
            413: "CONTENT_TOO_LARGE",
            429: "TOO_MANY_REQUESTS",
        }
        code = codes.get(status, "INTERNAL_SERVER_ERROR" if status >= 500 else "BAD_REQUEST")
        return _refusal(status, code, f"the stand-in was asked to answer {status}")

    def empty(self) -> Answer:
        """200 without a body."""
        return Answer()

    def answer(self, request: Request) -> Answer:
        """Answer one step of the flow; credentials and signatures are checked as Adobe checks them."""
        try:
            return self._storage(request) if request.path.startswith("/storage/") else self._service(request)
        except BadRequestBody as error:
            return _refusal(400, "BAD_REQUEST", str(error))

    def _service(self, request: Request) -> Answer:
        if (request.method, request.path) == ("POST", "/token"):
            return self._token(request)
        if (refused := self._unauthorised(request)) is not None:
            return refused
        if request.method == "GET" and request.path.startswith("/operation/extractpdf/"):
            return self._poll(request)
        steps = {"/assets": self._new_asset, "/operation/extractpdf": self._extract}
        if request.method != "POST" or request.path not in steps:
            return _refusal(404, "NOT_FOUND", f"there is nothing at {request.path}")
        return steps[request.path](request)

    def _token(self, request: Request) -> Answer:
        form = request.form()
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            # In OAuth's form, unlike every other error of this API.
            refusal = {"error": "invalid_client", "error_description": "invalid client_id or client_secret"}
            return Answer.json(refusal, status=401)
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens.add(token)
        return Answer.json({"access_token": token, "token_type": "bearer", "expires_in": self._token_seconds})

    def _unauthorised(self, request: Request) -> Answer | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        with self._lock:
            known = token in self._tokens
        if known and request.headers.get("x-api-key") == CLIENT_ID:
            return None
        return Answer.json({"error_code": "401013", "message": "Oauth token is not valid"}, status=401)

    def _new_asset(self, request: Request) -> Answer:
        media_type = request.json().get("mediaType")
        if media_type != "application/pdf":
            return _refusal(400, "INVALID_MEDIA_TYPE", f"mediaType {media_type!r} is not supported")
        asset_id = self._store(_Asset(media_type=media_type))
        return Answer.json({"uploadUri": self._signed(request, asset_id), "assetID": asset_id})

    def _store(self, asset: _Asset) -> str:
        asset_id = f"urn:aaid:AS:UE1:{secrets.token_hex(16)}"
        with self._lock:
            self._assets[asset_id] = asset
        return asset_id

    def _signed(self, request: Request, asset_id: str) -> str:
        signature = self._assets[asset_id].signature
        return f"{request.base_url}/storage/{asset_id}?X-Amz-Expires=3600&X-Amz-Signature={signature}"

    def _storage(self, request: Request) -> Answer:
        asset = self._assets.get(request.path.removeprefix("/storage/"))
        if asset is None or request.query.get("X-Amz-Signature") != asset.signature:
            return _xml_refusal(403, "AccessDenied")
        if request.method == "PUT":
            if request.headers.get("content-type") != asset.media_type:
                return _xml_refusal(403, "SignatureDoesNotMatch")
            asset.content = request.body
            return Answer()
        if asset.content is None:
            return _xml_refusal(404, "NoSuchKey")
        return Answer(body=asset.content, content_type=asset.media_type)

    def _extract(self, request: Request) -> Answer:
        wanted = request.json()
        asset = self._assets.get(str(wanted.get("assetID")))
        if asset is None or asset.content is None:
            return _refusal(404, "ASSET_NOT_FOUND", "the asset does not exist or was not uploaded")
        elements = wanted.get("elementsToExtract")
        if not isinstance(elements, list) or not set(elements) <= {"text", "tables"} or "text" not in elements:
            return _refusal(400, "BAD_INPUT", "elementsToExtract must hold text, and may hold tables")
        job_id = secrets.token_urlsafe(16)
        with self._lock:
            self._jobs[job_id] = _Job(asset=str(wanted["assetID"]))
        location = f"{request.base_url}/operation/extractpdf/{job_id}/status"
        return Answer(status=201, headers={"location": location, "x-request-id": secrets.token_hex(16)})

    def _poll(self, request: Request) -> Answer:
        job_id = request.path.removeprefix("/operation/extractpdf/").removesuffix("/status")
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None:
                return _refusal(404, "NOT_FOUND", "there is no such job")
            job.polls += 1
            if job.polls <= self._polls:
                headers = {} if self._retry_after is None else {"retry-after": str(self._retry_after)}
                return Answer.json({"status": "in progress"}, headers=headers)
        if job.answer is None:
            job.answer = self._work(request, job)
        return Answer.json(job.answer)

    def _work(self, request: Request, job: _Job) -> dict[str, object]:
        pdf = self._assets[job.asset].content or b""
        try:
            if len(pdf) > UPLOAD_LIMIT:
                raise PdfRefused("DISQUALIFIED_FILE_SIZE", "the file is larger than 100 MB")
            content = structured_data(pdf)
        except PdfRefused as refused:
            error = {"code": refused.code, "message": str(refused), "status": 400}
            return {"status": "failed", "error": error}
        return {
            "status": "done",
            "content": self._output(request, content, JSON_OUTPUT),
            "resource": self._output(request, archive(content), ZIP_OUTPUT),
        }

    def _output(self, request: Request, content: bytes, media_type: str) -> dict[str, object]:
        asset_id = self._store(_Asset(media_type=media_type, content=content))
        metadata = {"type": media_type, "size": len(content)}
        return {"metadata": metadata, "assetID": asset_id, "downloadUri": self._signed(request, asset_id)}


def _refusal(status: int, code: str, message: str) -> Answer:
    return Answer.json({"error": {"code": code, "message": message, "status": status}}, status=status)


def _xml_refusal(status: int, code: str) -> Answer:
    """Uploads and downloads go to storage with an S3 face."""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{code}</Message></Error>'
    return Answer(status=status, body=body.encode(), content_type="application/xml")

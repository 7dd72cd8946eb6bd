"""Text of a PDF by Adobe PDF Extract: headers and footers left out, reading order kept, scanned pages read.

The SDK's own waiting is not used: it polls for ever, its token request has no time limit, and it would take a result of
any size. We poll with a deadline and fetch the result ourselves, and the whole stage runs in a bounded thread. Of the
results only the JSON is fetched, never the zip with its figures and tables.
"""

from __future__ import annotations

import json
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Final

from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import ServiceFailed
from paperjobs_runner.services.adobe_errors import AdobeCannotRead, classify, job_failure
from paperjobs_runner.services.allowance import NO_BUDGETS, UNLIMITED, Allowances
from paperjobs_runner.services.bounded import bounded
from paperjobs_runner.services.patience import retry_after_ms, with_patience
from paperjobs_runner.settings import AdobeSettings

STAGE_S: Final = 240.0
"""Seconds for upload, extraction and download together; a 30-page paper takes about 30."""
POLL_S: Final = 2.0
"""Seconds between two polls when Adobe does not say, and never more than five times that."""
MAX_RESULT_BYTES: Final = 24_000_000
"""A page takes about 30 kB, 400 pages 12 MB. Parsed it takes up to six times its size of the pod's 512 MiB."""
CONNECT_S: Final = 10
READ_S: Final = 60


def adobe_pages(pdf: Path, settings: AdobeSettings, deadline: Deadline, budgets: Allowances = NO_BUDGETS) -> list[str]:
    """The text of each page; raises AdobeCannotRead when this file will not be taken."""
    allowance = budgets.of("adobe", UNLIMITED)

    def extract() -> list[str]:
        allowance.draw()
        try:
            return bounded(lambda: _extract(pdf, settings, deadline), seconds=deadline.limit(STAGE_S))
        except TimeoutError:
            raise ServiceFailed(f"Adobe PDF Services took longer than {STAGE_S:.0f} s") from None

    return with_patience(extract, deadline=deadline, allowance=allowance, tries=2)


def _extract(pdf: Path, settings: AdobeSettings, deadline: Deadline) -> list[str]:
    # Lazily: 0.1 s that runs without credentials should not pay.
    from adobe.pdfservices.operation.pdf_services_media_type import PDFServicesMediaType
    from adobe.pdfservices.operation.pdfjobs.jobs.extract_pdf_job import ExtractPDFJob
    from adobe.pdfservices.operation.pdfjobs.params.extract_pdf.extract_element_type import ExtractElementType
    from adobe.pdfservices.operation.pdfjobs.params.extract_pdf.extract_pdf_params import ExtractPDFParams

    # When `bounded` no longer waits for this thread, it must not go on polling; a second later, so that the error is
    # that of `bounded`.
    stage = Deadline(at=min(deadline.at, time.monotonic() + STAGE_S) + 1)
    try:
        services = _services(settings)
        with pdf.open("rb") as file:
            asset = services.upload(input_stream=file, mime_type=PDFServicesMediaType.PDF)
        params = ExtractPDFParams(elements_to_extract=[ExtractElementType.TEXT])
        location = services.submit(ExtractPDFJob(input_asset=asset, extract_pdf_params=params))
        document = json.loads(_result(_wait(services, location, stage), stage))
    except (ServiceFailed, AdobeCannotRead):
        raise
    except Exception as error:
        raise classify(error) from None
    return pages_of(document)


def _services(settings: AdobeSettings) -> Any:
    from adobe.pdfservices.operation.auth.service_principal_credentials import ServicePrincipalCredentials
    from adobe.pdfservices.operation.config.client_config import ClientConfig
    from adobe.pdfservices.operation.pdf_services import PDFServices

    config: dict[str, Any] = {
        "connectTimeout": CONNECT_S * 1000,
        "readTimeout": READ_S * 1000,
        "region": settings.region,
    }
    if settings.url is not None:
        config["pdfServices"] = {"pdfServicesUri": settings.url}
    # A file is the SDK's only public way to another address.
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        client_config = ClientConfig().from_file(file.name)
    credentials = ServicePrincipalCredentials(client_id=settings.client_id, client_secret=settings.client_secret)
    return PDFServices(credentials=credentials, client_config=client_config)


def _wait(services: Any, location: str, stage: Deadline) -> str:
    """Poll until the job is done; returns the address of its JSON. Raises what a failed job calls for."""
    from adobe.pdfservices.operation.internal.api.pdf_services_api import PDFServicesAPI

    # The SDK's public calls show either the status or the whole result, never the result's address.
    context = services._PDFServices__executionContext
    while True:
        answer = PDFServicesAPI.status_poll(context, location, str(uuid.uuid4()))
        job = json.loads(answer.content)
        if job["status"] == "done":
            return str(job["content"]["downloadUri"])
        if job["status"] == "failed":
            raise job_failure(job.get("error"))
        pause = retry_after_ms(answer.headers.get("retry-after"), default_s=POLL_S) / 1000
        time.sleep(stage.limit(min(max(pause, 0.05), POLL_S * 5)))


def _result(address: str, stage: Deadline) -> bytes:
    """The job's JSON, piece by piece, so that one without end is left."""
    import requests

    content = bytearray()
    with requests.get(address, stream=True, timeout=(CONNECT_S, READ_S), allow_redirects=False) as response:
        if response.status_code != 200:
            raise ServiceFailed(f"Adobe PDF Services' result cannot be fetched ({response.status_code})")
        for chunk in response.iter_content(1 << 16):
            stage.limit(1)
            content += chunk
            if len(content) > MAX_RESULT_BYTES:
                raise AdobeCannotRead("RESULT_TOO_LARGE")
    return bytes(content)


def pages_of(document: Any) -> list[str]:
    """The text of each page in Adobe's structuredData.json: one element a line, in the order given."""
    if not isinstance(document, dict) or not isinstance(elements := document.get("elements"), list):
        raise ServiceFailed("Adobe PDF Services sent a result without text elements")
    pages: dict[int, list[str]] = {}
    for element in elements:
        if isinstance(element, dict) and isinstance(text := element.get("Text"), str):
            page = element.get("Page")
            pages.setdefault(page if isinstance(page, int) and 0 <= page < 10_000 else 0, []).append(text.strip())
    return ["\n".join(pages.get(number, [])) for number in range(max(pages, default=-1) + 1)]

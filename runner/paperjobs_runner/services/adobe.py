"""Text of a PDF by Adobe PDF Extract: headers and footers left out, reading order kept, scanned pages read.

The SDK's own waiting is not used: it polls for ever, and its token request has no time limit. We poll with a deadline,
and the whole stage runs in a bounded thread.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import ServiceFailed
from paperjobs_runner.services.adobe_errors import classify
from paperjobs_runner.services.allowance import NO_BUDGETS, UNLIMITED, Allowances
from paperjobs_runner.services.bounded import bounded
from paperjobs_runner.services.patience import with_patience
from paperjobs_runner.settings import AdobeSettings

STAGE_S: Final = 240.0
"""Seconds for upload, extraction and download together; a 30-page paper takes about 30."""
POLL_S: Final = 2.0
"""Seconds between two polls when Adobe does not say, and never more than five times that."""


def adobe_pages(pdf: Path, settings: AdobeSettings, deadline: Deadline, budgets: Allowances = NO_BUDGETS) -> list[str]:
    """The text of each page; raises AdobeCannotRead when this file will never be taken."""
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
    from adobe.pdfservices.operation.pdfjobs.result.extract_pdf_result import ExtractPDFResult

    try:
        services = _services(settings)
        with pdf.open("rb") as file:
            asset = services.upload(input_stream=file, mime_type=PDFServicesMediaType.PDF)
        params = ExtractPDFParams(elements_to_extract=[ExtractElementType.TEXT])
        location = services.submit(ExtractPDFJob(input_asset=asset, extract_pdf_params=params))
        _wait(services, location, deadline)
        content = services.get_job_result(location, ExtractPDFResult).get_result().get_content_json()
        document = json.loads(content)
    except ServiceFailed:
        raise
    except Exception as error:
        raise classify(error) from None
    return pages_of(document)


def _services(settings: AdobeSettings) -> Any:
    from adobe.pdfservices.operation.auth.service_principal_credentials import ServicePrincipalCredentials
    from adobe.pdfservices.operation.config.client_config import ClientConfig
    from adobe.pdfservices.operation.pdf_services import PDFServices

    config: dict[str, Any] = {"connectTimeout": 10_000, "readTimeout": 60_000, "region": settings.region}
    if settings.url is not None:
        config["pdfServices"] = {"pdfServicesUri": settings.url}
    # A file is the SDK's only public way to another address.
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        client_config = ClientConfig().from_file(file.name)
    credentials = ServicePrincipalCredentials(client_id=settings.client_id, client_secret=settings.client_secret)
    return PDFServices(credentials=credentials, client_config=client_config)


def _wait(services: Any, location: str, deadline: Deadline) -> None:
    while True:
        answer = services.get_job_status(location)
        if answer.get_status() != "in progress":
            return  # done or failed: get_job_result tells which
        try:
            pause = float(answer.get_retry_interval())
        except (TypeError, ValueError):  # no Retry-After, or a date
            pause = POLL_S
        time.sleep(deadline.limit(min(max(pause, 0.05), POLL_S * 5)))


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

"""pdfservices-sdk against Adobe's stand-in: the whole Extract flow, and what the SDK makes of refusals."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pypdf
import pytest
from adobe.pdfservices.operation.auth.service_principal_credentials import ServicePrincipalCredentials
from adobe.pdfservices.operation.config.client_config import ClientConfig
from adobe.pdfservices.operation.exception.exceptions import SdkException, ServiceApiException, ServiceUsageException
from adobe.pdfservices.operation.pdf_services import PDFServices
from adobe.pdfservices.operation.pdf_services_media_type import PDFServicesMediaType
from adobe.pdfservices.operation.pdfjobs.jobs.extract_pdf_job import ExtractPDFJob
from adobe.pdfservices.operation.pdfjobs.params.extract_pdf.extract_element_type import ExtractElementType
from adobe.pdfservices.operation.pdfjobs.params.extract_pdf.extract_pdf_params import ExtractPDFParams
from adobe.pdfservices.operation.pdfjobs.result.extract_pdf_result import ExtractPDFResult

from paperjobs_standins.adobe import CLIENT_ID, CLIENT_SECRET, AdobeStandin
from paperjobs_standins.loopback import LoopbackServer
from paperjobs_standins.papers import pdf_of, sample_papers


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer[AdobeStandin]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = LoopbackServer(AdobeStandin(polls=2, retry_after=0))
    server.start()
    yield server
    server.stop()


def services(server: LoopbackServer[AdobeStandin], folder: Path, secret: str = CLIENT_SECRET) -> Any:
    config = folder / "adobe.json"
    config.write_text(json.dumps({"pdfServices": {"pdfServicesUri": server.url}}))
    credentials = ServicePrincipalCredentials(client_id=CLIENT_ID, client_secret=secret)
    return PDFServices(credentials=credentials, client_config=ClientConfig().from_file(str(config)))


def submit(services: Any, pdf: bytes) -> str:
    asset = services.upload(input_stream=pdf, mime_type=PDFServicesMediaType.PDF)
    params = ExtractPDFParams(elements_to_extract=[ExtractElementType.TEXT])
    location: str = services.submit(ExtractPDFJob(input_asset=asset, extract_pdf_params=params))
    return location


def extract(services: Any, pdf: bytes) -> Any:
    return services.get_job_result(submit(services, pdf), ExtractPDFResult).get_result()


def test_the_text_of_the_uploaded_pdf_comes_back_with_pages_and_paths(
    server: LoopbackServer[AdobeStandin], tmp_path: Path
) -> None:
    paper = next(one for one in sample_papers() if one.arxiv_id == "hep-th/9711200")
    sdk = services(server, tmp_path)
    result = extract(sdk, pdf_of(paper))
    elements = json.loads(result.get_content_json())["elements"]
    assert elements[0]["Path"] == "//Document/Title"
    assert any(
        "Lyman Laboratory of Physics, Harvard University" in one["Text"] and one["Page"] == 0 for one in elements
    )
    assert {one["Page"] for one in elements} == set(range(len(pypdf.PdfReader(io.BytesIO(pdf_of(paper))).pages)))
    archive = zipfile.ZipFile(io.BytesIO(sdk.get_content(result.get_resource()).get_input_stream()))
    assert json.loads(archive.read("structuredData.json"))["elements"] == elements


def test_a_job_is_in_progress_before_it_is_done(server: LoopbackServer[AdobeStandin], tmp_path: Path) -> None:
    sdk = services(server, tmp_path)
    location = submit(sdk, pdf_of(sample_papers()[0]))
    states = [sdk.get_job_status(location) for _ in range(3)]
    assert [one.get_status() for one in states] == ["in progress", "in progress", "done"]
    assert states[0].get_retry_interval() == 0


def test_another_pdf_gives_another_text(server: LoopbackServer[AdobeStandin], tmp_path: Path) -> None:
    sdk = services(server, tmp_path)
    first, second = (extract(sdk, pdf_of(paper)).get_content_json() for paper in sample_papers()[:2])
    assert first != second


def test_a_file_that_is_no_pdf_fails_the_job_as_bad_pdf(server: LoopbackServer[AdobeStandin], tmp_path: Path) -> None:
    with pytest.raises(ServiceApiException) as caught:
        extract(services(server, tmp_path), b"<html>not a pdf</html>")
    assert caught.value.error_code == "BAD_PDF"


def test_a_pdf_with_a_password_fails_the_job_as_protected(server: LoopbackServer[AdobeStandin], tmp_path: Path) -> None:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf_of(sample_papers()[0])))
    writer.encrypt("secret", algorithm="RC4-128")
    locked = io.BytesIO()
    writer.write(locked)
    with pytest.raises(ServiceApiException) as caught:
        extract(services(server, tmp_path), locked.getvalue())
    assert caught.value.error_code == "PROTECTED_PDF"


def test_wrong_credentials_get_no_token(server: LoopbackServer[AdobeStandin], tmp_path: Path) -> None:
    with pytest.raises(SdkException):
        extract(services(server, tmp_path, secret="wrong"), b"%PDF-")
    assert [one.target for one in server.requests] == ["/token"]


def test_too_many_requests_on_one_step_is_a_usage_error(server: LoopbackServer[AdobeStandin], tmp_path: Path) -> None:
    server.fault("status", path="/operation/extractpdf", status=429, retry_after=7)
    with pytest.raises(ServiceUsageException) as caught:
        extract(services(server, tmp_path), pdf_of(sample_papers()[0]))
    assert caught.value.status_code == 429
    assert [one.status for one in server.requests] == [200, 200, 200, 429]

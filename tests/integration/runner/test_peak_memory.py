"""A run about a PDF of 100 MB stays within the 512 MiB that a pod is given, in whatever way its text is extracted.

Measured from outside, over the run and the child that reads the PDF.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from bench.peakmemory import Usage, followed
from paperjobs_runner.services.arxiv import MAX_PDF_BYTES
from paperjobs_standins.adobe import UPLOAD_LIMIT
from paperjobs_standins.arxiv import ArxivStandin
from paperjobs_standins.exchange import Answer, Request
from paperjobs_standins.loopback import LoopbackServer
from paperjobs_standins.papers import pdf_of, sample_papers
from paperjobs_standins.server import Standins
from support.runner_process import COMMAND, environment

POD_MIB: Final = 512
"""What the seed's runner pods request, and are limited to."""
PAPERS: Final = {"adobe": "1412.6980", "pypdf": "1512.03385", "kept": "1412.6980"}
"""Each way has a paper of its own; the last finds what the first one kept."""


class Huge(ArxivStandin):
    """arXiv whose PDFs are as large as we take them: each page of the paper holds pictures that cannot be packed."""

    def answer(self, request: Request) -> Answer:
        if request.path.startswith("/pdf/"):
            return Answer(body=_huge(request.path.rpartition("v")[0].removeprefix("/pdf/")))
        return super().answer(request)


def _huge(paper: str) -> bytes:
    import io

    from pypdf import PdfWriter
    from pypdf.generic import DictionaryObject, NameObject, NumberObject, StreamObject

    source = pdf_of(next(one for one in sample_papers() if one.arxiv_id == paper))
    writer = PdfWriter(clone_from=io.BytesIO(source))
    pictures, each = 12, (MAX_PDF_BYTES - len(source) - 200_000) // 12
    for number in range(pictures):
        picture = StreamObject()
        picture.set_data(os.urandom(each))
        names = {"/Type": "/XObject", "/Subtype": "/Image", "/ColorSpace": "/DeviceGray", "/Filter": "/DCTDecode"}
        picture.update({NameObject(name): NameObject(value) for name, value in names.items()})
        picture.update({NameObject(name): NumberObject(8) for name in ("/Width", "/Height", "/BitsPerComponent")})
        page = writer.pages[number % len(writer.pages)]
        resources: Any = page["/Resources"]
        held = resources.get_object().setdefault(NameObject("/XObject"), DictionaryObject()).get_object()
        held[NameObject(f"/Picture{number}")] = writer._add_object(picture)
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


@pytest.fixture(scope="module")
def services() -> Iterator[tuple[Standins, LoopbackServer[Huge]]]:
    arxiv = LoopbackServer(Huge())
    with Standins(["adobe", "anthropic", "s3"]) as standins:
        arxiv.start()
        yield standins, arxiv
        arxiv.stop()


def measured(
    way: str, services: tuple[Standins, LoopbackServer[Huge]], new_database: Path, folder: Path
) -> tuple[Usage, dict[str, object]]:
    standins, arxiv = services
    paper = PAPERS[way]
    env = environment(standins, new_database, folder) | arxiv.env()
    env["PAPERJOBS_PAYLOAD"] = json.dumps({"paperId": "p", "arxivUrl": f"https://arxiv.org/abs/{paper}"})
    if way == "pypdf":
        env = {name: value for name, value in env.items() if not name.startswith("ADOBE_")}
    usage = followed(COMMAND, env)
    report = json.loads(Path(env["PAPERJOBS_TERMINATION_LOG"]).read_text())
    print(f"\n100 MB by {way}: {usage}", file=sys.__stderr__)
    return usage, report["result"]


@pytest.mark.parametrize("way", ["adobe", "pypdf", "kept"])
def test_a_run_about_a_pdf_of_100_mb_fits_into_its_pod(
    way: str, services: tuple[Standins, LoopbackServer[Huge]], new_database: Path, tmp_path: Path
) -> None:
    standins, arxiv = services
    standins.clear()
    arxiv.clear()
    usage, result = measured(way, services, new_database, tmp_path)
    assert result["institutionCount"]
    assert usage.together < POD_MIB
    assert usage.largest < POD_MIB
    fetched = sum("/pdf/" in request.target for request in arxiv.requests)
    assert fetched == (0 if way == "kept" else 1)


def test_that_pdf_is_as_large_as_one_may_be() -> None:
    size = len(_huge(PAPERS["adobe"]))
    assert 0.99 * MAX_PDF_BYTES < size <= MAX_PDF_BYTES
    assert size <= UPLOAD_LIMIT

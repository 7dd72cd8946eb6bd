"""A run about a PDF of 100 MB stays within the 512 MiB that a pod is given, in whatever way its text is extracted.

Measured from outside, over the run and the child that reads the PDF.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from bench import peakmemory
from bench.peakmemory import Usage
from paperjobs_runner.services.adobe import MAX_RESULT_BYTES
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
PAPERS: Final = {
    "adobe": "1412.6980",
    "pypdf": "1512.03385",
    "kept": "1412.6980",
    "hungry": "1810.04805",
    "verbose": "2005.14165",
}
"""Each way has a paper of its own, but `kept`, which finds what the first one left."""


class Huge(ArxivStandin):
    """arXiv whose PDFs are as large as we take them: each page of the paper holds pictures that cannot be packed."""

    def answer(self, request: Request) -> Answer:
        if request.path.startswith("/pdf/"):
            paper = request.path.rpartition("v")[0].removeprefix("/pdf/")
            return Answer(body=_hungry() if paper == PAPERS["hungry"] else _huge(paper))
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


def _hungry() -> bytes:
    """A page whose drawing needs more memory than the child may have, beside a picture of nearly 100 MB."""
    drawing = zlib.compress(b"BT /F1 12 Tf " + b"(x) Tj " * 8_000_000, 1)
    picture = os.urandom(MAX_PDF_BYTES - len(drawing) - 10_000)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(drawing), drawing),
        b"<< /Filter /DCTDecode /Length %d >>\nstream\n%s\nendstream" % (len(picture), picture),
    ]
    body, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    end = b"xref\n0 6\n0000000000 65535 f \n%strailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF"
    return bytes(body) + end % (table, len(body))


def _verbose() -> str:
    """A result of Adobe's that is nearly as large as we take it, with elements as large as real ones."""
    element = {
        "Bounds": [72.0, 691.2, 540.0, 703.1],
        "Font": {"alt_family_name": "Times", "embedded": True, "encoding": "WinAnsiEncoding", "font_type": "Type1"},
        "HasClip": False,
        "Page": 3,
        "Path": "//Document/Sect[2]/P[7]",
        "Text": "Attention has become an integral part of sequence modelling. " * 4,
        "TextSize": 9.96,
        "attributes": {"LineHeight": 10.9, "SpaceAfter": 5.9, "TextAlign": "Justify"},
    }
    count = (MAX_RESULT_BYTES - 1_000) // (len(json.dumps(element)) + 2)
    return json.dumps({"elements": [element] * count})


@pytest.fixture(scope="module")
def services() -> Iterator[tuple[Standins, LoopbackServer[Huge]]]:
    arxiv = LoopbackServer(Huge())
    with Standins(["adobe", "anthropic", "s3"]) as standins:
        arxiv.start()
        yield standins, arxiv
        arxiv.stop()


def measured(
    way: str, services: tuple[Standins, LoopbackServer[Huge]], new_database: Path, folder: Path
) -> tuple[Usage, dict[str, Any]]:
    standins, arxiv = services
    paper = PAPERS[way]
    env = environment(standins, new_database, folder) | arxiv.env()
    env["PAPERJOBS_PAYLOAD"] = json.dumps({"paperId": "p", "arxivUrl": f"https://arxiv.org/abs/{paper}"})
    if way in ("pypdf", "hungry"):
        env = {name: value for name, value in env.items() if not name.startswith("ADOBE_")}
    # As `followed` does, whatever the end: a run that fails must fit into its pod, too.
    watcher = [sys.executable, "-I", "-S", peakmemory.__file__, *COMMAND]
    told = subprocess.run(watcher, env=env, check=True, stdout=subprocess.PIPE)
    usage = Usage(**json.loads(told.stdout))
    print(f"100 MB, {way}: {usage.together:.0f} MiB together, {usage.itself:.0f} the run, {usage.child:.0f} its child")
    return usage, json.loads(Path(env["PAPERJOBS_TERMINATION_LOG"]).read_text())


@pytest.mark.parametrize("way", ["adobe", "pypdf", "kept", "verbose"])
def test_a_run_about_a_pdf_of_100_mb_fits_into_its_pod(
    way: str, services: tuple[Standins, LoopbackServer[Huge]], new_database: Path, tmp_path: Path
) -> None:
    standins, arxiv = services
    standins.clear()
    arxiv.clear()
    if way == "verbose":
        standins.adobe.fault("reply", path="/storage/", method="GET", body=_verbose())
    usage, report = measured(way, services, new_database, tmp_path)
    assert usage.exit_code == 0, report
    assert usage.together < POD_MIB
    assert usage.largest < POD_MIB
    fetched = sum("/pdf/" in request.target for request in arxiv.requests)
    assert fetched == (0 if way == "kept" else 1)


def test_a_pdf_of_100_mb_that_wants_more_than_there_is_costs_its_child_and_not_the_pod(
    services: tuple[Standins, LoopbackServer[Huge]], new_database: Path, tmp_path: Path
) -> None:
    usage, report = measured("hungry", services, new_database, tmp_path)
    assert report["errorType"] == "PaperUnreadable"
    assert "needs more time or memory" in report["message"]
    assert usage.child > 200, "it was hungry indeed"
    assert usage.together < POD_MIB


def test_that_pdf_is_as_large_as_one_may_be() -> None:
    size = len(_huge(PAPERS["adobe"]))
    assert MAX_PDF_BYTES >= len(_hungry()) > 0.99 * MAX_PDF_BYTES
    assert 0.99 * MAX_PDF_BYTES < size <= MAX_PDF_BYTES
    assert size <= UPLOAD_LIMIT

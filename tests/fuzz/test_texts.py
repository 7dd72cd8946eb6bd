"""Adobe's results and the text kept in the storage: broken, hostile, huge."""

from __future__ import annotations

import ast
import json
import time
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from adobe.pdfservices.operation.io.cloud_asset import CloudAsset

import paperjobs_runner
from paperjobs_runner.arxiv_id import parse_arxiv_id
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.services import adobe, paper_text
from paperjobs_runner.services.paper_text import PaperText, kept_text
from paperjobs_runner.services.pdftext_child import MAX_CHARACTERS, MAX_PAGE_CHARACTERS, MAX_PAGES
from paperjobs_runner.services.storage import FolderStorage, storage_key
from paperjobs_runner.settings import AdobeSettings
from support.fuzzing import cases, judged, mutated_json, unstorable

ADOBE = AdobeSettings(client_id="i", client_secret="s", url=None, region="us")
RESULT = {
    "version": {"json_export": "1"},
    "elements": [
        {"Path": "//Document/Title", "Text": "A title", "Page": 0, "Bounds": [1, 2, 3, 4], "TextSize": 9},
        {"Path": "//Document/P", "Text": "Some text of the paper, in a line. " * 9, "Page": 1, "Font": {"name": "F"}},
        {"Path": "//Document/Figure", "Page": 2, "filePaths": ["../../etc/passwd"]},
    ],
    "pages": [{"page_number": 0}],
}


def within_limits(case: str, text: PaperText) -> None:
    assert unstorable(text.pages) is None, f"{case}: {unstorable(text.pages)}"
    assert len(text.pages) <= MAX_PAGES, case
    assert max(map(len, text.pages), default=0) <= MAX_PAGE_CHARACTERS, case
    assert sum(map(len, text.pages)) <= MAX_CHARACTERS, case


def test_mutated_results_of_adobe_are_pages_or_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pdf = tmp_path / "paper.pdf"
    pdf.write_bytes(b"%PDF-")
    result: list[bytes] = []
    services = MagicMock()
    services.upload.return_value = CloudAsset("a")
    monkeypatch.setattr(adobe, "_services", lambda _: services)
    monkeypatch.setattr(adobe, "_wait", lambda *_: "https://result")
    monkeypatch.setattr(adobe, "_result", lambda *_: result[-1])
    deadline = Deadline(at=time.monotonic() + 3000, sleep=lambda _: None)
    texts = 0
    for case, chance in cases("adobe", 1200):
        result.append(mutated_json(RESULT, chance))
        read: Any = judged(case, lambda: paper_text._cleaned(adobe.adobe_pages(pdf, ADOBE, deadline), "adobe"))
        if isinstance(read, PaperText):
            texts += 1
            within_limits(case, read)
    assert texts > 100, "mutated beyond recognition: nothing is tested"


def test_kept_text_that_was_changed_is_read_as_we_wrote_it_or_not_at_all(tmp_path: Path) -> None:
    paper, storage = parse_arxiv_id("1706.03762v7"), FolderStorage(tmp_path / "kept")
    file = tmp_path / "kept" / storage_key(paper, f"text-{paper_text.FORM}.pypdf.json")
    file.parent.mkdir(parents=True)
    value = {"extractor": "pypdf", "pages": ["One page of a paper. " * 20, "Another page. " * 20]}
    texts = 0
    for case, chance in cases("kept", 1200):
        file.write_bytes(mutated_json(value, chance))
        read = judged(case, lambda: kept_text(paper, tmp_path, storage=storage, adobe=None))
        if isinstance(read, PaperText):
            texts += 1
            within_limits(case, read)
    assert texts > 20, "mutated beyond recognition: nothing is tested"
    file.write_text(json.dumps(value | {"pages": ["x" * 200] * (MAX_PAGES + 1)}))
    assert kept_text(paper, tmp_path, storage=storage, adobe=None) is None


def test_no_archive_that_a_service_sends_is_ever_opened() -> None:
    """Adobe's zip holds what the JSON beside it says; whoever opens it must defend against bombs and path names."""
    openers = {"zipfile", "tarfile", "zipimport", "unpack_archive"}
    folder = Path(paperjobs_runner.__file__).parent
    for file in [*folder.glob("services/**/*.py"), *folder.glob("pipelines/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            names = {alias.name for alias in node.names} if isinstance(node, ast.Import | ast.ImportFrom) else set()
            names |= {node.module or ""} if isinstance(node, ast.ImportFrom) else set()
            names |= {node.attr} if isinstance(node, ast.Attribute) else set()
            assert not names & openers, file

"""`python -m eval [PAPER …] [--verbose] [--json FILE] [--real] [--pypdf]`: how right the pipelines are.

Runs every pipeline on every paper of the evaluation set (or those named) and prints precision and recall per field.
Against the stand-ins unless --real, which asks Claude (ANTHROPIC_API_KEY) and, with its keys, Adobe: that costs money.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from eval.report import document, text
from eval.run import evaluate
from eval.services import NoKey, services
from paperjobs_runner.pipelines import PIPELINES
from paperjobs_standins.papers import all_papers


def main(argv: Sequence[str]) -> int:
    """Evaluate; 1 when a run did not end well, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m eval", description=__doc__)
    parser.add_argument("papers", nargs="*", metavar="PAPER", help="arXiv ids, 1706.03762; all unless named")
    parser.add_argument("--verbose", action="store_true", help="list every wrong and missed item")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    parser.add_argument("--real", action="store_true", help="ask Claude and Adobe; the papers stay ours")
    parser.add_argument("--pypdf", action="store_true", help="read the PDFs without Adobe")
    options = parser.parse_args(argv)
    known = {paper.arxiv_id: paper for paper in all_papers()}
    if unknown := sorted(set(options.papers) - set(known)):
        parser.error(f"no sample paper {', '.join(unknown)}: choose from {', '.join(known)}")
    papers = [known[name] for name in options.papers or known]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    folder = Path(tempfile.mkdtemp(prefix="paperjobs-eval-"))
    try:
        with services(papers, environ, real=options.real, adobe=not options.pypdf) as around:
            done = evaluate(papers, list(PIPELINES), around, folder, environ, _say)
    except NoKey as error:
        parser.error(str(error))
    print(text(done, verbose=options.verbose))
    print(f"\nlogs and databases: {folder}")
    if options.json:
        options.json.write_text(document(done), encoding="utf-8")
    return int(any(run.code for one in done for run in one.runs))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The sample papers: metadata of real arXiv papers (CC0), and PDFs that this project typesets from them by itself.
Beside them papers that are invented altogether, people, addresses and ORCID iDs included (hosts end in .example, iDs
lie outside of what ORCID gives out); they are only for the evaluation.

The PDFs are not the papers: their text is our own, only title, names and affiliations are those of the real ones, set
as the real ones set them. What a reader of such a PDF should find (`SamplePaper.affiliations`, `.links`) is known.
"""

from paperjobs_standins.papers.model import Affiliation, Author, Footnote, SamplePaper
from paperjobs_standins.papers.shelf import all_papers, invented_papers, sample_papers
from paperjobs_standins.papers.typeset import pdf_of

__all__ = [
    "Affiliation",
    "Author",
    "Footnote",
    "SamplePaper",
    "all_papers",
    "invented_papers",
    "pdf_of",
    "sample_papers",
]

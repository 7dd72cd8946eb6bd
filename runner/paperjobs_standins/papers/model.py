"""A sample paper: what the arXiv feed says about it, what its first page shows, and so what is true of it."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Affiliation:
    """One institution as the paper typesets it."""

    key: str
    """Names it inside the paper's data file."""
    name: str
    """The institution itself, without department and address: what should be found."""
    department: str = ""
    also: tuple[str, ...] = ()
    """Further institutions that the same line names."""
    country: str = ""
    """In English; empty when the paper does not say it."""
    typeset: str = ""
    """The whole line as printed; the name alone when empty."""

    @property
    def line(self) -> str:
        """What is printed."""
        return self.typeset or self.name


@dataclass(frozen=True, kw_only=True)
class Author:
    """One author as the paper typesets them."""

    name: str
    """As in the arXiv feed."""
    printed: str = ""
    """As on the first page, where that differs."""
    affiliations: tuple[str, ...] = ()
    """Keys of the affiliations, in the printed order."""
    marks: tuple[str, ...] = ()
    """Footnote marks after the name that are not affiliations (* for equal contribution)."""
    email: str = ""
    """As the template prints it: some print what stands before the @ only, with one host for all."""
    emails: tuple[str, ...] = ()
    """In full, where that is not `email`."""
    given: str = ""
    """Set with `family` where that is not the last word of the name."""
    family: str = ""
    suffix: str = ""
    orcid: str = ""
    corresponding: bool = False

    @property
    def line(self) -> str:
        """The name that is printed."""
        return self.printed or self.name

    @property
    def parts(self) -> tuple[str, str]:
        """Given and family name."""
        if self.family:
            return self.given, self.family
        given, _, family = self.name.rpartition(" ")
        return given, family

    @property
    def mails(self) -> tuple[str, ...]:
        """All addresses that the paper prints for this author, in full."""
        return self.emails or ((self.email,) if "@" in self.email else ())


@dataclass(frozen=True, kw_only=True)
class Footnote:
    """A marked note on the first page."""

    mark: str
    text: str


@dataclass(frozen=True, kw_only=True)
class SamplePaper:
    """A paper's metadata, and the truth about its author block."""

    arxiv_id: str
    """Without version: `1706.03762` or `hep-th/9711200`."""
    version: int
    """The latest one."""
    title: str
    summary: str
    """In our own words, shortened."""
    published: str
    """First version, as in Atom: `2017-06-12T17:57:34Z`."""
    updated: str
    """Latest version."""
    primary_category: str
    categories: tuple[str, ...]
    comment: str = ""
    journal_ref: str = ""
    doi: str = ""
    listed: tuple[str, ...]
    """Author names in the arXiv feed; for a collaboration just its name."""
    style: str
    """The template that typesets it."""
    field: str
    """Which body text it gets: learning, physics, mathematics or study."""
    authors: tuple[Author, ...]
    affiliations: tuple[Affiliation, ...]
    footnotes: tuple[Footnote, ...] = ()
    collaboration: str = ""
    """Printed in place of, or after, the authors of a large collaboration; the list given here is truncated."""
    tags: tuple[str, ...] = ()
    """Slugs of the seeded vocabulary that a librarian would give the paper."""
    tags_possible: tuple[str, ...] = ()
    """Slugs that are not wrong either."""
    repeat: int = 1
    """How often the body's sections are set, as parts of a long paper."""
    inserted: str = ""
    """A paragraph put into the text: what a hostile author would write."""
    planted: tuple[str, ...] = ()
    """Words out of `inserted` and the footnotes that must not appear in any result."""
    invented: bool = False
    """Neither paper nor people exist; otherwise the metadata is a real paper's."""

    @property
    def versioned_id(self) -> str:
        """`1706.03762v7`."""
        return f"{self.arxiv_id}v{self.version}"

    @property
    def abs_url(self) -> str:
        """The page a web app's user would paste."""
        return f"https://arxiv.org/abs/{self.arxiv_id}"

    @property
    def links(self) -> frozenset[tuple[str, str]]:
        """Every true pair of an author's name and an institution's name."""
        names = {one.key: (one.name, *one.also) for one in self.affiliations}
        return frozenset(
            (author.name, name) for author in self.authors for key in author.affiliations for name in names[key]
        )

    @property
    def arxiv_categories(self) -> tuple[str, ...]:
        """Without the MSC and ACM classes that arXiv's feed mixes in."""
        return tuple(one for one in self.categories if re.fullmatch(r"[a-z-]+(\.[A-Za-z-]{2,})?", one))

    @property
    def institutions(self) -> frozenset[str]:
        """Every institution that has an author in the paper."""
        return frozenset(name for _, name in self.links)

"""The controlled vocabulary: which tags there are. Seeded once by migration 0002, then people's own.

A list is edited as a whole (`paperjobs-runner tags export`, `import`) or with SQL. A tag that is taken out of the list
becomes inactive: it is given to no further paper, and stays with those that have it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, insert, select, update

from paperjobs_runner.errors import VocabularyInvalid
from paperjobs_runner.store.models import Tag
from paperjobs_runner.textclean import one_line, storable

SLUG: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
MAX_SLUG: Final = 60
MAX_NAME: Final = 80
MAX_DESCRIPTION: Final = 300
MAX_TAGS: Final = 1_000
"""Active ones: all of them are in each question to Claude, some 30 tokens each."""
_COLUMNS: Final = ("slug", "name", "description")


@dataclass(frozen=True, kw_only=True)
class VocabularyTag:
    """A tag as people write it."""

    slug: str
    name: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import changed."""

    added: int
    changed: int
    deactivated: int


def read_vocabulary(connection: Connection) -> list[VocabularyTag]:
    """The active tags by slug: always in the same order, so that the prompt that holds them can be cached."""
    columns = (Tag.slug, Tag.name, Tag.description)
    rows = connection.execute(select(*columns).where(Tag.active).order_by(Tag.slug).limit(MAX_TAGS))
    return [VocabularyTag(slug=row.slug, name=row.name, description=row.description) for row in rows]


def replace_vocabulary(connection: Connection, tags: Sequence[VocabularyTag]) -> Imported:
    """Make these the active tags."""
    rows = connection.execute(select(Tag.slug, Tag.name, Tag.description, Tag.active).with_for_update())
    stored = {row.slug: row for row in rows}
    added = changed = 0
    for tag in sorted(tags, key=lambda tag: tag.slug):
        values = {"name": tag.name, "description": tag.description, "active": True}
        row = stored.get(tag.slug)
        if row is None:
            connection.execute(insert(Tag).values(slug=tag.slug, **values))
            added += 1
        elif (row.name, row.description, row.active) != tuple(values.values()):
            connection.execute(update(Tag).where(Tag.slug == tag.slug).values(**values))
            changed += 1
    gone = sorted({slug for slug, row in stored.items() if row.active} - {tag.slug for tag in tags})
    if gone:
        connection.execute(update(Tag).where(Tag.slug.in_(gone)).values(active=False))
    return Imported(added=added, changed=changed, deactivated=len(gone))


def parse_vocabulary(text: str) -> list[VocabularyTag]:
    """Read a CSV file with the columns slug, name, description; raises VocabularyInvalid naming every wrong line."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    if tuple(reader.fieldnames or ()) != _COLUMNS:
        raise VocabularyInvalid(f"the first line must be {','.join(_COLUMNS)}")
    tags: list[VocabularyTag] = []
    wrong: list[str] = []
    seen: set[str] = set()
    try:
        for row in reader:
            slug, name, description = (one_line(row.get(column) or "") for column in _COLUMNS)
            tag = VocabularyTag(slug=slug, name=name, description=description)
            wrong += [f"line {reader.line_num}: {fault}" for fault in _faults(tag, extra=None in row, seen=seen)]
            seen.add(slug)
            tags.append(tag)
    except csv.Error as error:
        wrong.append(f"line {reader.line_num}: not CSV ({error})")
    if not tags:
        wrong.append("there is no tag; to tag nothing, suspend the queue instead")
    if len(tags) > MAX_TAGS:
        wrong.append(f"{len(tags)} tags; at most {MAX_TAGS} can be offered to Claude")
    if wrong:
        raise VocabularyInvalid("the vocabulary is wrong:\n" + "\n".join(f"- {line}" for line in wrong[:50]))
    return tags


def format_vocabulary(tags: Sequence[VocabularyTag]) -> str:
    """The CSV that `parse_vocabulary` reads."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows((tag.slug, tag.name, tag.description) for tag in tags)
    return storable(out.getvalue())


def _faults(tag: VocabularyTag, *, extra: bool, seen: set[str]) -> list[str]:
    faults = []
    if not SLUG.fullmatch(tag.slug) or len(tag.slug) > MAX_SLUG:
        faults.append(
            f"slug: expected up to {MAX_SLUG} small letters and digits in words joined by -, got {tag.slug[:80]!r}"
        )
    elif tag.slug in seen:
        faults.append(f"slug: {tag.slug} is there twice")
    if not 1 <= len(tag.name) <= MAX_NAME:
        faults.append(f"name: expected 1 to {MAX_NAME} characters, got {len(tag.name)}")
    if not 1 <= len(tag.description) <= MAX_DESCRIPTION:
        faults.append(f"description: expected 1 to {MAX_DESCRIPTION} characters, got {len(tag.description)}")
    if extra:
        faults.append("more than three values; put a text with a comma between quotation marks")
    return faults

"""`paperjobs-runner tags list|export|import FILE`: the vocabulary of auto-tagging, for people."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from paperjobs_runner.contract import ExitCode
from paperjobs_runner.errors import VocabularyInvalid
from paperjobs_runner.settings import read_database_url
from paperjobs_runner.store.revision import require_revision
from paperjobs_runner.store.session import connected
from paperjobs_runner.store.vocabulary import format_vocabulary, parse_vocabulary, read_vocabulary, replace_vocabulary

MAX_BYTES: Final = 2_000_000
"""Of a vocabulary file: a thousand tags have about 200 kB."""


def show(env: Mapping[str, str], *, as_csv: bool) -> ExitCode:
    """Print the active tags, for people or as the CSV that `take` reads."""
    with connected(read_database_url(env)) as connection:
        require_revision(connection)
        tags = read_vocabulary(connection)
    if as_csv:
        sys.stdout.write(format_vocabulary(tags))
    else:
        sys.stdout.writelines(f"{tag.slug:32} {tag.name}: {tag.description}\n" for tag in tags)
    return ExitCode.DONE


def take(env: Mapping[str, str], file: str) -> ExitCode:
    """Make the CSV file (or standard input, `-`) the vocabulary; raises VocabularyInvalid naming every wrong line."""
    tags = parse_vocabulary(_text_of(file))
    with connected(read_database_url(env)) as connection:
        require_revision(connection)
        done = replace_vocabulary(connection, tags)
    sys.stdout.write(f"{done.added} tags added, {done.changed} changed, {done.deactivated} made inactive\n")
    return ExitCode.DONE


def _text_of(file: str) -> str:
    try:
        content = sys.stdin.buffer.read(MAX_BYTES + 1) if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise VocabularyInvalid(f"{file} cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise VocabularyInvalid(f"{file} has more than {MAX_BYTES // 1_000_000} MB; it is no vocabulary")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise VocabularyInvalid(f"{file} is not UTF-8 text; save it as CSV in UTF-8") from None

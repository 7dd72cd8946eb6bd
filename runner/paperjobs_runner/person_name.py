"""Splits an author's name, as arXiv gives it, into given name, family name and suffix. Pure.

The order of the words stays arXiv's: whether "Wang Wei" is a Mr Wang or a Mr Wei cannot be told from the name, and
arXiv asks for the family name last. Every word of the name ends up in exactly one part.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from paperjobs_runner.names import name_key
from paperjobs_runner.textclean import one_line

_PARTICLES: Final = frozenset(
    re.findall(
        r"\S+",
        "van von vom vander vanden de der den del della dello delle degli di da do dos das du des la le los las el al "
        "bin ibn ben ter ten te tot zu zur zum af av of op st st. 't d' dell' dall' l' o'",
    )
)
"""Words before a family name that belong to it."""
_CAPITAL_PARTICLES: Final = _PARTICLES - {"ben", "te", "do", "of", "tot", "op", "bin", "av", "af"}
"""Those that are particles with a capital letter too; the others are given names then (Ben, Do)."""
_VIETNAMESE: Final = frozenset(
    re.findall(r"\w+", "nguyen tran pham hoang huynh phan vu vo dang bui do ho ngo duong ly le")
)
"""Before these family names Van is a middle name."""
_JOINED: Final = frozenset({"filho", "neto", "sobrinho", "junior"})
"""Portuguese: son, grandson, nephew; cited with the family name before them."""
_AND: Final = frozenset({"y", "i", "e"})
"""Spanish, Catalan, Portuguese: between two family names."""
_SUFFIX: Final = re.compile(r"(?:jr|sr|jnr|snr|esq)\.?|junior|senior|ii|iii|iv|vi|vii|viii|2nd|3rd|4th", re.I)
_DOTTED_INITIALS: Final = re.compile(r"(?:[^\W\d_]\.-?)+")
_ON_BEHALF: Final = re.compile(
    r"[\s,;(]*\b(?:for|representing|on\s+behalf\s+of)\s+the\s+(?=.*(?:collaboration|consortium|team|group))", re.I
)
_GROUP: Final = re.compile(
    r"\b(?:collaborations?|consorti(?:um|a)|teams?|groups?|task\s?force|initiative|"
    r"committee|community|project|experiment|network|alliance|partnership|investigators|survey|laboratory|institute)\b",
    re.I,
)
_COMPANY: Final = re.compile(r"\w*[a-z]-?AI|\w+-AI")
"""OpenAI, DeepSeek-AI, xAI: companies that sign as an author."""


@dataclass(frozen=True, kw_only=True)
class PersonName:
    """The parts of a name; all are None for a collaboration."""

    given: str | None = None
    """First and middle names or initials."""
    family: str | None = None
    """With its particles; the whole name of somebody who has just one."""
    suffix: str | None = None
    """Jr., III."""
    is_collaboration: bool = False


def split_name(name: str) -> PersonName:
    """The parts of a name; of "A. Writer for the ATLAS Collaboration" those of A. Writer."""
    name = one_line(unicodedata.normalize("NFC", name))
    if behalf := _ON_BEHALF.search(name):
        name = name[: behalf.start()]
        if not name.strip():
            return PersonName(is_collaboration=True)
    if is_collaboration(name):
        return PersonName(is_collaboration=True)
    words, family_first = _ordered(re.sub(r"\([^)]*\)", " ", name))
    words, suffix = _without_suffix(words)
    if family_first is not None:
        given, family = words, family_first
    else:
        given, family = _divided(words)
    return PersonName(given=_text(given), family=_text(family), suffix=suffix)


def is_collaboration(name: str) -> bool:
    """Whether a listed author is a group of people and not a person."""
    words = name.split()
    if _ON_BEHALF.match(name) or (len(words) > 1 and words[0].lower() == "the"):
        return True
    return (len(words) > 1 and _GROUP.search(name) is not None) or _COMPANY.fullmatch(name) is not None


def better_spelling(name: str, printed: str) -> str:
    """The name with the accents of the paper's spelling where arXiv's has none; unchanged when it is another name."""
    words, others = name.split(), one_line(unicodedata.normalize("NFC", printed)).split()
    if len(words) != len(others) or not all(map(_same_word, words, others)):
        return name
    return " ".join(map(_better_word, words, others))


def _ordered(name: str) -> tuple[list[str], list[str] | None]:
    """The words in arXiv's usual order; and the family name, where a comma tells it ("LeCun, Yann")."""
    parts = [part.split() for part in name.split(",")]
    parts = [part for part in parts if part]
    if len(parts) < 2:
        return (parts[0] if parts else []), None
    first, *rest = parts
    after = [word for part in rest for word in part]
    if all(_SUFFIX.fullmatch(word) for word in after):  # "Martin Luther King, Jr."
        return first + after, None
    family, suffixes = _family_and_suffixes(first)
    suffixes += [word for word in after if _SUFFIX.fullmatch(word)]
    return [word for word in after if not _SUFFIX.fullmatch(word)] + suffixes, family


def _family_and_suffixes(words: list[str]) -> tuple[list[str], list[str]]:
    """A family name before a comma may carry the suffix: "King Jr., Martin Luther"."""
    if len(words) > 1 and _SUFFIX.fullmatch(words[-1]):
        return words[:-1], words[-1:]
    return words, []


def _without_suffix(words: list[str]) -> tuple[list[str], str | None]:
    end = len(words)
    while end > 1 and _SUFFIX.fullmatch(words[end - 1]) and name_key(words[end - 1]) not in _JOINED:
        end -= 1
    return words[:end], _text(words[end:])


def _divided(words: list[str]) -> tuple[list[str], list[str]]:
    """Given names, and the family name with what belongs to it."""
    last = len(words) - 1
    while last > 0 and _DOTTED_INITIALS.fullmatch(words[last]):  # "Subramanian K. R."
        last -= 1
    if last <= 0:
        return words[1:], words[:1]
    start = last
    if name_key(words[start]) in _JOINED and start > 1:
        start -= 1
    while start > 0 and _belongs(words, start):
        start -= 1
    if start > 1 and words[start - 1] in _AND and len(words[start - 2]) > 1 and "." not in words[start - 2]:
        start -= 2
        while start > 0 and _belongs(words, start):
            start -= 1
    return words[:start] + words[last + 1 :], words[start : last + 1]


def _belongs(words: list[str], start: int) -> bool:
    """Whether the word before `start` is a particle of the family name that begins there."""
    word = words[start - 1].replace("\u2019", "'")
    if word in _PARTICLES:
        return True
    if start == 1 or word.lower() not in _CAPITAL_PARTICLES:
        return False
    return not (word == "Van" and name_key(words[start]) in _VIETNAMESE)


def _text(words: list[str]) -> str | None:
    return " ".join(words) or None


def _same_word(word: str, printed: str) -> bool:
    return name_key(word) == name_key(printed) or name_key(word) == name_key(_transcribed(printed))


def _better_word(word: str, printed: str) -> str:
    if not word.isascii() or printed.isascii():
        return word
    if printed.isupper() and not word.isupper():
        # A heading in capitals: the accents are good, the capitals are not.
        if len(printed) != len(word):
            return word
        return "".join(p.lower() if w.islower() else p for w, p in zip(word, printed, strict=True))
    return printed


_TRANSCRIPTIONS: Final = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ø": "oe", "Ø": "Oe", "å": "aa", "Å": "Aa"}
)


def _transcribed(text: str) -> str:
    """As it is spelt where there are no such letters: Müller is Mueller."""
    return text.translate(_TRANSCRIPTIONS)

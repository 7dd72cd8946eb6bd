"""Names of institutions and people in a form in which they can be compared. Pure.

Two spellings are the same when their keys are equal: no case, no accents, no punctuation. A small table of aliases
covers what is written in many ways; a full register (ROR) can take its place without a change to the database.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from paperjobs_runner.textclean import one_line

_LETTERS: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ß": "ss", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th", "\u0131": "i"}
)

_ALIASES: Final = {
    "Massachusetts Institute of Technology": ("MIT", "Massachusetts Inst. of Technology"),
    "California Institute of Technology": ("Caltech",),
    "Carnegie Mellon University": ("CMU",),
    "University of California, Berkeley": ("UC Berkeley", "University of California at Berkeley"),
    "University of California, Los Angeles": ("UCLA", "UC Los Angeles", "University of California at Los Angeles"),
    "University of California, San Diego": ("UCSD", "UC San Diego", "University of California at San Diego"),
    "ETH Zürich": ("ETH", "ETHZ", "ETH Zurich", "Swiss Federal Institute of Technology Zurich"),
    "EPFL": ("École Polytechnique Fédérale de Lausanne", "Ecole Polytechnique Federale de Lausanne"),
    "CNRS": ("Centre National de la Recherche Scientifique",),
    "CERN": ("European Organization for Nuclear Research",),
    "Inria": ("INRIA",),
    "Google DeepMind": ("DeepMind", "Google Deepmind", "DeepMind Technologies"),
    "Google Research": ("Google AI",),
    "Meta AI": ("Facebook AI Research", "FAIR", "FAIR, Meta", "Meta AI Research"),
    "Microsoft Research": ("MSR",),
    "OpenAI": ("Open AI",),
    "University College London": ("UCL",),
    "University of Oxford": ("Oxford University",),
    "University of Cambridge": ("Cambridge University",),
    "Université de Montréal": ("University of Montreal",),
    "Technical University of Munich": ("TUM", "TU Munich", "Technische Universität München"),
    "Ludwig Maximilian University of Munich": ("LMU Munich", "Ludwig-Maximilians-Universität München"),
    "KU Leuven": ("Katholieke Universiteit Leuven",),
    "Chinese Academy of Sciences": ("CAS",),
}

_PART: Final = re.compile(
    r"^(?:the )?(?:department|dept|school|faculty|division|section|chair|laboratory|lab|group|college|"
    r"departamento|d[ée]partement|dipartimento|fakult[äa]t|facult[ée])\b",
    re.I,
)
_WHOLE: Final = re.compile(
    r"universi|institut|academ|polit[eé]c|polytech|hospital|politec|college\b|\b(?:ETH|EPFL|MIT)\b", re.I
)


@dataclass(frozen=True, kw_only=True)
class InstitutionName:
    """An institution's name as it is shown, the key under which it is unique, and the part of it that was named."""

    name: str
    key: str
    department: str | None = None


def squash(text: str) -> str:
    """Letters and digits only, without case and accents: for finding a quotation in a text."""
    return re.sub(r"[\W_]+", "", _plain(text))


def name_key(name: str) -> str:
    """The key under which an institution's or person's name is compared."""
    return " ".join(re.sub(r"[\W_]+", " ", _plain(name.replace("&", " and "))).split())


def normalise_institution(written: str, department: str | None = None) -> InstitutionName | None:
    """An institution as the paper writes it, brought to its usual name; None when nothing is left of it."""
    name = one_line(unicodedata.normalize("NFKC", written)).strip(" ,;.*†‡§")
    parts = [part.strip() for part in name.split(",")]
    if len(parts) > 1 and _PART.search(parts[0]):
        whole = next((index for index, part in enumerate(parts[1:], 1) if _WHOLE.search(part)), None)
        if whole is not None:
            department, name = department or ", ".join(parts[:whole]), ", ".join(parts[whole:])
    name = re.sub(r"^(?:the)\s+", "", name, flags=re.I)
    name = _USUAL.get(name_key(name), name)
    key = name_key(name)
    if len(key) < 2:
        return None
    return InstitutionName(name=name, key=key, department=one_line(department) or None if department else None)


def match_authors(names: Sequence[str], authors: Sequence[str]) -> list[int | None]:
    """For each of `names` the index in `authors` of the same person, or None; no author is given twice.

    Exact keys first, then the same last name with the same first initial when only one author has them.
    """
    matches: list[int | None] = [None] * len(names)
    free = dict(enumerate(authors))
    for key in (name_key, _initial_and_last_name):
        keys: dict[str, list[int]] = {}
        for index, author in free.items():
            keys.setdefault(key(author), []).append(index)
        for position, name in enumerate(names):
            candidates = keys.get(key(name), []) if matches[position] is None else []
            if candidates and (key is name_key or len(candidates) == 1):
                index = candidates.pop(0)
                matches[position] = index
                del free[index]
    return matches


def _initial_and_last_name(name: str) -> str:
    if "," in name:  # "LeCun, Yann"
        last, _, first = name.partition(",")
        name = f"{first} {last}"
    words = name_key(name).split()
    return f"{words[0][0]} {words[-1]}" if len(words) > 1 else " ".join(words)


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold().translate(_LETTERS))
    return "".join(char for char in decomposed if not unicodedata.combining(char))


_USUAL: Final = {name_key(alias): name for name, aliases in _ALIASES.items() for alias in (name, *aliases)}

"""Reads one affiliation line: which part is the institution, which the department, which the country."""

from __future__ import annotations

import re
from dataclasses import dataclass

from paperjobs_standins.reading.countries import country_in

_COMPANY = (
    r"Google(?: \w+){0,2}|DeepMind|OpenAI|Microsoft(?: \w+)?|Meta(?: AI)?|Facebook(?: AI(?: Research)?)?|Anthropic|"
    r"NVIDIA|IBM(?: \w+){0,2}|AT&T(?: \w+)*|Bell Lab\w+|Amazon|Apple|Baidu|Tencent(?: \w+)?|Huawei(?: \w+)?|"
    r"Samsung(?: \w+)?|Intel"
)
_STRONG = re.compile(
    r"\buniversit(?:y|é|à|ä|ät|at|eit|et|ies|as|ate|atea)\b|\buniversid\w+|\buniwersytet|universität\b|"
    r"institut\w* of technology|technische|politecnico|polytechni\w+|\bécole\b|\bcollege\b(?! of)|\bacadem\w+ of|"
    r"\bnational (?:accelerator )?laborator\w+|\bnational (?:institute|centre|center)\b|\bobservatory\b|"
    r"\bhospital\b|h\u00f4pital|ospedale|klinikum|universit\u00e4tsmedizin|max[- ]planck|fraunhofer|"
    r"^(?:CERN|DESY|KEK|SLAC|TRIUMF|Nikhef\b.*|INFN|ICREA|INRIA|MIT|KAIST|POSTECH|RIKEN|CEA|CSIC|ETH\b.*|EPFL|NASA\b.*|NIST|CNRS(?:/\w+)?|"
    rf"{_COMPANY})$",
    re.IGNORECASE,
)
_WEAK = re.compile(
    r"institut|laborator|laboratoire|\bcent(?:re|er|rum|ro)\b|\bresearch\b|foundation|\blab\b", re.IGNORECASE
)
_UNIT = re.compile(
    r"\b(?:department|departament\w*|département|dipartimento|dept|division|school of|faculty|faculté|facultad|"
    r"fakultät|klinik|section|sezione|group|chair|unit|program(?:me)?)\b",
    re.IGNORECASE,
)
_INSIDE = re.compile(r"(?:\bof the|\bde l['\u2019]|\bde la|\bder|\bat|\bat the|\bof) ((?:\w+ ){0,2}Universit\w+.*)$")


@dataclass(frozen=True, kw_only=True)
class Institution:
    """One institution that an affiliation line names."""

    name: str
    department: str = ""
    country: str = ""


def institutions_in(line: str) -> list[Institution]:
    """The institutions of one affiliation line, the main one first; empty when the line names none."""
    text = re.sub(r"\s+", " ", re.sub(r"\S*@\S*|\be-?mail:?", " ", line, flags=re.IGNORECASE)).strip(" .,;")
    text = text[1:-1] if text[:1] == "(" and text[-1:] == ")" else text
    text = re.sub(r"^(?:also |with |and )?(?:at )?the (?=[A-Z])", "", text)
    parts = [part.strip(" .;") for part in re.split(r"[,;]", text)]
    parts = [part for part in parts if part]
    country = country_in(text)
    names = [name for part in parts for name in _names(part)]
    scores = [_score(name) for name in names]
    if not names or max(scores) == 0:
        return []
    best = max(scores)
    main = scores.index(best)
    department = next((name for name, score in zip(names, scores, strict=True) if 0 < score < best), "")
    before = ", ".join(names[:main])
    found = [Institution(name=_tidy(names[main]), department=_tidy(before or department), country=country)]
    if best == 3:
        others = [name for name, score in zip(names[main + 1 :], scores[main + 1 :], strict=True) if score == 3]
        found += [Institution(name=_tidy(name), country=country) for name in others]
    return found


def names_institution(text: str) -> bool:
    """Whether some part of the text is an institution."""
    return any(_score(name) >= 2 for part in re.split(r"[,;]", text) for name in _names(part.strip(" .;")))


def _names(part: str) -> list[str]:
    """A part, cut at an `and` between two institutions, and freed of the unit that is printed before a university."""
    pieces = re.split(r"\s+(?:and|&)\s+", part)
    if not (len(pieces) > 1 and all(_score(piece) for piece in pieces)):
        pieces = [part]
    names: list[str] = []
    for piece in pieces:
        inside = _INSIDE.search(piece) if _UNIT.search(piece) else None
        names += [piece[: inside.start()].strip(), inside[1]] if inside else [piece]
    return [name for name in names if name]


def _score(name: str) -> int:
    """3 an institution of its own, 2 perhaps one, 1 part of one, 0 an address."""
    if _UNIT.search(name) and not re.search(r"universit|institute of technology", name, re.IGNORECASE):
        return 1
    if _STRONG.search(name):
        return 3
    return 2 if _WEAK.search(name) else 0


def _tidy(name: str) -> str:
    """Without `... branch of` before and a bracketed short form behind."""
    name = re.sub(r"^.*\bbranch of (?:the )?", "", name)
    return re.sub(r"\s*\([^)]*\)$", "", name).strip(" .,")

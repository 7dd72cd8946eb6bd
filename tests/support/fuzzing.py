"""The tools of the fuzz tests: seeded cases, mutators of bytes and JSON, and the judge of how a case ended.

Each case has a name, SEED:KIND:NUMBER, from which all its random choices follow; a finding shows it. To see it again:
`make fuzz SEED=…`. CASES multiplies the number of cases.
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from types import FrameType
from typing import Any, Final, TypeVar

from paperjobs_runner.contract import TERMINATION_MESSAGE_LIMIT
from paperjobs_runner.errors import RunnerError, ending
from paperjobs_runner.textclean import storable

SEED: Final = os.environ.get("PAPERJOBS_FUZZ_SEED") or "1"
TIMES: Final = max(1, int(os.environ.get("PAPERJOBS_FUZZ_CASES") or "1"))
"""How many times the usual number of cases is tried."""
CPU_S: Final = 10.0
"""Seconds of this process's own time for one case: not wall time, which a busy machine stretches."""

NASTY: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**40, -(10**40), 0.5, 1e308, float("nan"), float("inf"), "",
    " ", "\x00", "a\x00b", "\ud800", "\udfff\ud800", "\ufeff", "\u202e", "e\u0301" * 50, "x" * 100_000, "</paper>",
    "NaN", "1", "{}", [], {}, [[]], {"": None}, [None] * 1000,
)  # fmt: skip

_T = TypeVar("_T")


class Hang(BaseException):
    """A case used all the time that one may take."""


def cases(kind: str, count: int) -> Iterator[tuple[str, random.Random]]:
    """The name and the random choices of each case; the seed is printed, and shown when the test fails."""
    total = count * TIMES
    print(f"{total} cases of {kind}, seed {SEED}")
    for number in range(total):
        name = f"{SEED}:{kind}:{number}"
        yield name, random.Random(name)


def judged(case: str, call: Callable[[], _T]) -> _T | RunnerError:
    """The call's result, or the error of ours with which it failed. Anything else is a finding."""
    try:
        with _limited():
            return call()
    except RunnerError as error:
        _code, report = ending(error, step="fuzz")
        assert len(report.encode()) <= TERMINATION_MESSAGE_LIMIT, case
        assert report.message, case
        assert "Traceback" not in report.message, f"{case}: {report.message}"
        assert "\n" not in report.message, f"{case}: {report.message}"
        return error
    except Hang:
        raise AssertionError(f"{case}: takes more than {CPU_S} s") from None
    except BaseException as error:
        raise AssertionError(f"{case}: {type(error).__name__}: {str(error)[:300]}") from error


def unstorable(value: object) -> str | None:
    """The first text inside that a database would refuse; None when all of it can be stored."""
    if isinstance(value, str):
        return None if storable(value) == value else ascii(value)[:100]
    parts: Sequence[object] = ()
    if is_dataclass(value):
        parts = [getattr(value, field.name) for field in fields(value)]
    elif isinstance(value, dict):
        parts = [*value, *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        parts = list(value)
    elif type(value) is int:
        return None if -(2**31) <= value < 2**31 else f"{value:.3g}"
    return next((found for part in parts if (found := unstorable(part)) is not None), None)


def mutated_bytes(content: bytes, chance: random.Random) -> bytes:
    """The bytes after one to six accidents: flipped, cut, doubled, moved, overwritten, a number or a word changed."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        _damage(data, chance)
    return bytes(data)


def mutated_json(value: Any, chance: random.Random) -> bytes:
    """JSON of the value after one to four changes, now and then broken as text."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        value = _changed(value, chance)
    text = json.dumps(value, ensure_ascii=chance.random() < 0.5)
    match chance.randrange(12):
        case 0:
            text = text[: chance.randrange(len(text) + 1)]
        case 1:
            text = "[" * 100_000 + text
        case 2:
            text = text.replace(":", ': {"a":' * 500, 1)
        case 3 if text.startswith("{") and len(text) > 2:
            text = text[:-1] + "," + text[1:]  # every key twice
        case 4:
            return mutated_bytes(text.encode("utf-8", "surrogatepass"), chance)
        case 5:
            text = chance.choice(("Sure! Here it is:\n```json\n", "\ufeff", "<html>")) + text
    return text.encode("utf-8", "surrogatepass")


def _damage(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    until = min(len(data), at + chance.choice((1, 4, 30, 400)))
    match chance.randrange(8):
        case 0 if data:
            data[min(at, len(data) - 1)] ^= 1 << chance.randrange(8)
        case 1:
            del data[at:until]
        case 2:
            data[at:at] = data[at:until] * chance.choice((1, 3, 50))
        case 3:
            data[at:until] = chance.randbytes(until - at)
        case 4:
            del data[at:]
        case 5:
            _change_number(data, at, chance)
        case 6:
            other = chance.randrange(len(data) + 1)
            data[at:at] = data[other : other + until - at]
        case _:
            data[at:at] = chance.choice(
                (b"\x00" * 40, b"\xff\xfe", b"<<" * 400, b"(" * 400, b"&#x0;", b"%PDF-", b"]]>")
            )


def _change_number(data: bytearray, at: int, chance: random.Random) -> None:
    start = next((i for i in range(at, min(at + 2000, len(data))) if 48 <= data[i] <= 57), None)
    if start is not None:
        end = start
        while end < len(data) and 48 <= data[end] <= 57:
            end += 1
        data[start:end] = chance.choice((b"0", b"-1", b"1", b"65535", b"2147483648", b"9" * 30, b"1e9"))


def _changed(value: Any, chance: random.Random) -> Any:
    """A copy with one change, somewhere."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        copy = dict(value)
        key = chance.choice(list(copy))
        match chance.randrange(6):
            case 0:
                del copy[key]
            case 1:
                copy[chance.choice(("extra", "", "\ud800", "__proto__", "x" * 5000))] = copy[key]
            case _:
                copy[key] = _changed(copy[key], chance)
        return copy
    if isinstance(value, list) and value and chance.random() < 0.85:
        items = list(value)
        at = chance.randrange(len(items))
        match chance.randrange(6):
            case 0:
                del items[at]
            case 1:
                items[at:at] = [items[at]] * chance.choice((1, 10, 3000))
            case _:
                items[at] = _changed(items[at], chance)
        return items
    if isinstance(value, str) and value and chance.random() < 0.4:
        nasty = chance.choice(("\x00", "\ud834", "\u202e", "\n" * 50, "</paper>", "\ufffe", "x" * 20_000))
        at = chance.randrange(len(value))
        return value[:at] + nasty + value[at:]
    return chance.choice(NASTY)


@contextmanager
def _limited() -> Iterator[None]:
    def over(_signal: int, _frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)

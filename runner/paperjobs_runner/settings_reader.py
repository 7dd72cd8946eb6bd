"""Reads settings from the environment one after the other, and reports every wrong one together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from paperjobs_runner.errors import SettingsInvalid

_T = TypeVar("_T")


class Reader:
    """Reads one variable after the other and remembers what was wrong. Values of secrets are never repeated."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._wrong: list[str] = []

    def text(self, name: str) -> str | None:
        """The value without the white space around it; None when there is none."""
        return self._env.get(name, "").strip() or None

    def read(self, name: str, parse: Callable[[str], _T], *, required: str | None = None) -> _T | None:
        """The parsed value; None when it is wrong, which is remembered, or unset, which is wrong if `required`."""
        value = self.text(name)
        if value is None:
            if required:
                self.wrong(f"{name}: not set; expected {required}")
            return None
        try:
            return parse(value)
        except ValueError as error:
            self.wrong(f"{name}: {error}")
            return None

    def wrong(self, message: str) -> None:
        """Remember a fault: the setting's name, what is wrong, what is expected."""
        self._wrong.append(message)

    def raise_if_wrong(self) -> None:
        """Raise SettingsInvalid with one line for each fault."""
        if self._wrong:
            raise SettingsInvalid("the runner's settings are wrong:\n" + "\n".join(f"- {line}" for line in self._wrong))


def is_one_word(value: str) -> bool:
    """Whether it is printable ASCII without spaces, as keys and tokens are: they travel in HTTP headers."""
    return value.isascii() and value.isprintable() and " " not in value


def http_url(value: str) -> str:
    """A web address as it is given; ValueError says what is expected."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("expected a web address such as https://host/path, without query")
    return value

"""The README says what the contract says."""

from __future__ import annotations

import re
from pathlib import Path

from paperjobs_runner import contract
from paperjobs_runner.contract import ExitCode

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")


def test_every_exit_code_has_its_row() -> None:
    assert {int(code) for code in re.findall(r"^\| (\d+) \| ", README, re.MULTILINE)} == set(ExitCode)


def test_every_variable_of_an_assignment_is_listed() -> None:
    variables = {value for value in vars(contract).values() if str(value).startswith("PAPERJOBS_")}
    assert len(variables) == 12
    assert not [name for name in variables if f"`{name}`" not in README]


def test_no_command_shows_a_secret_on_the_command_line() -> None:
    commands = "\n".join(re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL))
    assert "kubectl create secret" in commands
    assert not re.findall(r"(?:PASSWORD|KEY|SECRET|DATABASE_URL)=\S", commands)


def test_its_lines_fit_into_120_columns() -> None:
    assert not [line for line in README.splitlines() if len(line) > 120]

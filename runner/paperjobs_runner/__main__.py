"""`paperjobs-runner`: one run as the environment assigns it, or one of the small commands.

Nothing but the signal handler is set up before the work starts; everything else is imported where it is needed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn

from paperjobs_runner import interrupt

USAGE = """\
usage: paperjobs-runner              run the job that the environment assigns (README: "The runner's contract")
       paperjobs-runner db upgrade   create or update the tables in DATABASE_URL
       paperjobs-runner db check     say whether the tables are up to date
       paperjobs-runner asana sync [--all]   tell Asana what runs could not; --all: before the next try is due, too
       paperjobs-runner tags list    show the vocabulary of auto-tagging
       paperjobs-runner tags export  print it as CSV (slug,name,description)
       paperjobs-runner tags import FILE   make that CSV the vocabulary; what is not in it becomes inactive
       paperjobs-runner asana status         list what Asana has not been told, and why
"""


def main() -> NoReturn:
    """The console command. Ends the process without waiting for threads that hang in a library."""
    interrupt.install()
    code = command(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def command(arguments: Sequence[str]) -> int:
    """Run a command line; returns the exit code."""
    work = _work(arguments)
    if work is not None:
        return work()
    sys.stderr.write(USAGE)
    return 2


def _work(arguments: Sequence[str]) -> Callable[[], int] | None:
    """What the command line asks for; None when that is nothing we know."""
    commands: dict[tuple[str, ...], Callable[[], int]] = {
        (): _run,
        ("db", "upgrade"): partial(_database, "upgrade"),
        ("db", "check"): partial(_database, "check"),
        ("asana", "sync"): partial(_asana, "sync"),
        ("asana", "sync", "--all"): partial(_asana, "sync", every=True),
        ("asana", "status"): partial(_asana, "status"),
        ("tags", "list"): partial(_tags, "list"),
        ("tags", "export"): partial(_tags, "export"),
        ("-h",): _help,
        ("--help",): _help,
    }
    if tuple(arguments[:2]) == ("tags", "import") and len(arguments) == 3:
        return partial(_tags, "import", arguments[2])
    return commands.get(tuple(arguments))


def _run() -> int:
    from paperjobs_runner.run import run

    return int(run(os.environ))


def _help() -> int:
    sys.stdout.write(USAGE)
    return 0


def _database(action: str) -> int:
    def work() -> int:
        from paperjobs_runner.settings import read_database_url

        url = read_database_url(os.environ)
        if action == "upgrade":
            from paperjobs_runner.store.migrate import upgrade

            revision = upgrade(url)
        else:
            from paperjobs_runner.store.revision import check

            revision = check(url)
        sys.stdout.write(f"the database is at revision {revision}\n")
        return 0

    return _exit_code_of(work)


def _asana(action: str, *, every: bool = False) -> int:
    def work() -> int:
        from paperjobs_runner.asana_sync import command

        return int(command.status(os.environ) if action == "status" else command.sync(os.environ, every=every))

    return _exit_code_of(work)


def _tags(action: str, file: str = "") -> int:
    def work() -> int:
        from paperjobs_runner import tags_command

        if action == "import":
            return int(tags_command.take(os.environ, file))
        return int(tags_command.show(os.environ, as_csv=action == "export"))

    return _exit_code_of(work)


def _exit_code_of(work: Callable[[], int]) -> int:
    from paperjobs_runner.contract import ExitCode
    from paperjobs_runner.errors import RunnerError

    try:
        interrupt.arm()
        return work()
    except RunnerError as error:
        sys.stderr.write(f"paperjobs-runner: {error.message}\n")
        return int(error.exit_code)
    except interrupt.Interrupted:
        return int(ExitCode.INTERRUPTED)


if __name__ == "__main__":
    main()

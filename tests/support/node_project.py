"""The Node project in tests/webapp: the web app's side, with the real BullMQ client."""

from __future__ import annotations

from pathlib import Path

from support.tools import ROOT, run_npm

WEBAPP = ROOT / "tests" / "webapp"


def install_webapp() -> Path:
    """Install what the lock file names and compile the sources, unless both were done since they last changed.

    Returns the project's folder.
    """
    installed = WEBAPP / "node_modules" / ".package-lock.json"
    if _newer(WEBAPP / "package-lock.json", installed):
        run_npm(WEBAPP, "ci")
        installed.touch()
    compiled = WEBAPP / "node_modules" / ".compiled"
    if any(_newer(source, compiled) for source in [WEBAPP / "tsconfig.json", *WEBAPP.glob("src/**/*.ts")]):
        run_npm(WEBAPP, "run", "build")
        compiled.touch()
    return WEBAPP


def _newer(source: Path, product: Path) -> bool:
    return not product.exists() or product.stat().st_mtime < source.stat().st_mtime

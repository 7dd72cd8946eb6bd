"""All stand-ins together: started, steered and stopped as one.

with Standins(["arxiv", "anthropic"]) as standins:
    standins.arxiv.fault("status", status=429, retry_after=5)
    subprocess.run([...], env={**os.environ, **standins.env()})
    assert len(standins.arxiv.requests) == 2
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from types import TracebackType
from typing import Any, Final, Self, cast

from paperjobs_standins.adobe import AdobeStandin
from paperjobs_standins.arxiv import ArxivStandin
from paperjobs_standins.asana import AsanaStandin
from paperjobs_standins.claude import ClaudeStandin
from paperjobs_standins.exchange import Service
from paperjobs_standins.loopback import LoopbackServer
from paperjobs_standins.papers import SamplePaper
from paperjobs_standins.s3 import S3Standin

SERVICES: Final = ("arxiv", "adobe", "anthropic", "asana", "s3")
"""Every service that has a stand-in, in the order of their ports."""


class Standins:
    """Stand-ins of some or all services on the loopback interface. Use as a context manager, or `start` and `stop`."""

    def __init__(
        self,
        services: Collection[str] | None = None,
        *,
        host: str = "127.0.0.1",
        port_base: int = 0,
        papers: Iterable[SamplePaper] | None = None,
    ) -> None:
        """Ports are free ones, or `port_base` and those after it in the order of SERVICES.

        Raises ValueError for an unknown service, OSError when a port is taken.
        """
        chosen = SERVICES if services is None else tuple(services)
        if unknown := sorted(set(chosen) - set(SERVICES)):
            raise ValueError(f"no stand-in for {', '.join(unknown)}: choose from {', '.join(SERVICES)}")
        self._servers: dict[str, LoopbackServer[Any]] = {}
        made: dict[str, Service] = {
            "arxiv": ArxivStandin(papers),
            "adobe": AdobeStandin(),
            "anthropic": ClaudeStandin(),
            "asana": AsanaStandin(),
            "s3": S3Standin(),
        }
        try:
            for number, name in enumerate(SERVICES):
                if name in chosen:
                    port = port_base + number if port_base else 0
                    self._servers[name] = LoopbackServer(made[name], host=host, port=port)
        except OSError:
            self.stop()
            raise

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to serve; takes milliseconds, since moto and typst are imported when first needed."""
        for server in self._servers.values():
            server.start()

    def stop(self) -> None:
        """Stop every server and close its connections."""
        for server in self._servers.values():
            server.stop()

    def env(self) -> dict[str, str]:
        """Exactly the variables with which the runner uses these stand-ins, proxies switched off for them."""
        variables = {name: value for server in self._servers.values() for name, value in server.env().items()}
        return variables | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

    def clear(self) -> None:
        """Forget planned faults and recorded requests of all services."""
        for server in self._servers.values():
            server.clear()

    @property
    def arxiv(self) -> LoopbackServer[ArxivStandin]:
        """arXiv; KeyError when it was not asked for, as with all of these."""
        return cast(LoopbackServer[ArxivStandin], self._servers["arxiv"])

    @property
    def adobe(self) -> LoopbackServer[AdobeStandin]:
        """Adobe PDF Services."""
        return cast(LoopbackServer[AdobeStandin], self._servers["adobe"])

    @property
    def anthropic(self) -> LoopbackServer[ClaudeStandin]:
        """Claude."""
        return cast(LoopbackServer[ClaudeStandin], self._servers["anthropic"])

    @property
    def asana(self) -> LoopbackServer[AsanaStandin]:
        """Asana."""
        return cast(LoopbackServer[AsanaStandin], self._servers["asana"])

    @property
    def s3(self) -> LoopbackServer[S3Standin]:
        """S3."""
        return cast(LoopbackServer[S3Standin], self._servers["s3"])

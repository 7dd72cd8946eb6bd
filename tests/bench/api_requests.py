"""Requests to the API server, as the operator counts its own and as the server counts everybody's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from support.controlplane import ControlPlane
from support.operator_process import OperatorProcess

WRITES: Final = frozenset({"post", "put", "patch", "delete"})

Counts = Counter[tuple[str, str]]
"""By verb and resource, in lower case and plural."""


def operator_requests(operator: OperatorProcess) -> Counts:
    """What the operator has sent so far; kopf's own requests are not among them."""
    return _counted(operator.get("/metrics")[1], "paperjobs_api_requests", lambda labels: True)


def server_requests(cluster: ControlPlane) -> Counts:
    """What the server has answered so far inside namespaces for our kinds: the operator's requests with kopf's.

    The controllers watch and list whole clusters and so are not counted; a watch counts when it ends.
    """
    page = cluster.kubectl("get", "--raw", "/metrics")
    lines = (line for line in page.splitlines() if line.startswith("apiserver_request_total{"))
    text = "# TYPE apiserver_request_total counter\n" + "\n".join(lines) + "\n"
    return _counted(
        text,
        "apiserver_request",
        lambda labels: labels["group"] == "paperjobs.dev" and labels["scope"] in {"namespace", "resource"},
    )


def total(counts: Counts, *, verbs: Iterable[str] | None = None, without: Iterable[str] = ()) -> int:
    """All of them, or those with these verbs, some resources left out."""
    wanted, skipped = None if verbs is None else set(verbs), set(without)
    return sum(
        number
        for (verb, resource), number in counts.items()
        if (wanted is None or verb in wanted) and resource not in skipped
    )


def readable(counts: Counts) -> dict[str, int]:
    """For JSON: `{"post jobs": 20}`."""
    return {f"{verb} {resource}": number for (verb, resource), number in sorted(counts.items()) if number}


def _counted(text: str, family: str, counts: Callable[[Mapping[str, str]], bool]) -> Counts:
    found: Counts = Counter()
    for metric in text_string_to_metric_families(text):
        if metric.name == family:
            for sample in metric.samples:
                if sample.name.endswith("_total") and counts(sample.labels):
                    found[sample.labels["verb"].lower(), sample.labels["resource"]] += int(sample.value)
    return found

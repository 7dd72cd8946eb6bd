"""What a kubelet makes of a container's spec: its environment and its command line. Pure.

The rules are the kubelet's own (pkg/kubelet/kubelet_pods.go makeEnvironmentVariables and
third_party/forked/golang/expansion/expand.go, v1.35).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class ConfigError(Exception):
    """The container cannot be configured; a kubelet reports it as CreateContainerConfigError."""


@dataclass(frozen=True)
class Sources:
    """The Secrets and ConfigMaps of the pod's namespace that exist, by name, with their decoded data."""

    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    config_maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def referenced(container: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """The names of the Secrets and of the ConfigMaps that the environment is made from."""
    whole = container.get("envFrom", [])
    single = [entry.get("valueFrom", {}) for entry in container.get("env", [])]
    secrets = [e["secretRef"]["name"] for e in whole if "secretRef" in e]
    secrets += [e["secretKeyRef"]["name"] for e in single if "secretKeyRef" in e]
    config_maps = [e["configMapRef"]["name"] for e in whole if "configMapRef" in e]
    config_maps += [e["configMapKeyRef"]["name"] for e in single if "configMapKeyRef" in e]
    return frozenset(secrets), frozenset(config_maps)


def environment(pod: Mapping[str, Any], container: Mapping[str, Any], sources: Sources) -> dict[str, str]:
    """The variables the container is started with; raises ConfigError for a source that does not exist."""
    variables: dict[str, str] = {}
    for entry in container.get("envFrom", []):
        kind, data = ("Secret", sources.secrets) if "secretRef" in entry else ("ConfigMap", sources.config_maps)
        reference = entry.get("secretRef") or entry["configMapRef"]
        found = data.get(reference["name"])
        if found is None and not reference.get("optional"):
            raise ConfigError(f'{kind.lower()} "{reference["name"]}" not found')
        variables |= {entry.get("prefix", "") + name: value for name, value in (found or {}).items()}
    for entry in container.get("env", []):
        if text := entry.get("value"):
            variables[entry["name"]] = expand(text, variables)
        elif "valueFrom" in entry:
            value = _from_source(entry["valueFrom"], pod, sources)
            if value is not None:
                variables[entry["name"]] = value
        else:
            variables[entry["name"]] = ""
    return variables


def command_line(
    container: Mapping[str, Any], entrypoint: Sequence[str], variables: Mapping[str, str]
) -> tuple[str, ...]:
    """The image's entrypoint unless the spec names a command, then the arguments, with references expanded."""
    command = container.get("command")
    words = [*(entrypoint if command is None else (expand(word, variables) for word in command))]
    return (*words, *(expand(word, variables) for word in container.get("args", [])))


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace $(NAME) by the variable's value; an unknown one stays as it is, and $$ stands for one dollar."""

    def value(match: re.Match[str]) -> str:
        name = match["name"]
        if name is not None:
            return variables.get(name, f"$({name})")
        return "$" if match[0] == "$$" else match[0]

    # Read in pairs from the left as Expand does: "$$(A)" is the text "$(A)", "$$$(A)" a dollar and a value.
    return re.sub(r"\$\((?P<name>[^)]*)\)|\$.", value, text, flags=re.DOTALL)


def _from_source(source: Mapping[str, Any], pod: Mapping[str, Any], sources: Sources) -> str | None:
    for key, kind, data in (
        ("secretKeyRef", "Secret", sources.secrets),
        ("configMapKeyRef", "ConfigMap", sources.config_maps),
    ):
        if key not in source:
            continue
        reference = source[key]
        found = data.get(reference["name"])
        if found is not None and reference["key"] in found:
            return found[reference["key"]]
        if reference.get("optional"):
            return None
        if found is None:
            raise ConfigError(f'{kind.lower()} "{reference["name"]}" not found')
        name = f"{pod['metadata']['namespace']}/{reference['name']}"
        raise ConfigError(f"couldn't find key {reference['key']} in {kind} {name}")
    if "fieldRef" in source:
        return _field(source["fieldRef"]["fieldPath"], pod)
    raise ConfigError(f"the test node has no {', '.join(source)}")


def _field(path: str, pod: Mapping[str, Any]) -> str:
    metadata = pod["metadata"]
    if match := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
        return str(metadata.get(match[1], {}).get(match[2], ""))
    fields = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": pod["spec"].get("nodeName", ""),
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", ""),
        "status.podIP": "127.0.0.1",
        "status.hostIP": "127.0.0.1",
    }
    if path not in fields:
        raise ConfigError(f"the test node has no field {path}")
    return str(fields[path])

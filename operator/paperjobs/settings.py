"""What the environment says, read once at start-up: every wrong variable is reported together, no value ever is.

A settings model is a frozen pydantic model whose fields name their variable as `validation_alias` and say in their
description what to set (the remedy of an error). A field that is itself such a model is read from the same
environment. An empty variable counts as not set, as charts and `.env` files mean it.
"""

from __future__ import annotations

import secrets
import socket
import ssl
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo

from paperjobs.errors import SettingsError

Model = TypeVar("Model", bound=BaseModel)

DNS_LABEL: Final = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
"""What Kubernetes accepts as the name of a namespace (RFC 1123)."""

DNS_SUBDOMAIN: Final = r"^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$"
"""What Kubernetes accepts as the name of most objects (RFC 1123)."""


class LogFormat(StrEnum):
    """How log lines look."""

    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """The least important lines that are still written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _host_only(value: str) -> str:
    if "/" in value or "@" in value or any(letter.isspace() for letter in value):
        raise ValueError("it is not a host name; an address like redis://host:6379 goes into separate variables")
    return value


def _authority(value: str, info: ValidationInfo) -> str:
    if not info.data.get("tls"):
        raise ValueError("REDIS_TLS is not true, so nothing would be encrypted; set both or none")
    try:
        ssl.create_default_context(cafile=None if _is_pem(value) else value, cadata=value if _is_pem(value) else None)
    except (OSError, ValueError):  # an SSLError is an OSError
        raise ValueError("no certificates can be read from it") from None
    return value


def _is_pem(authority: str) -> bool:
    """Whether certificates are given as they are, and not as the name of a file."""
    return authority.startswith("-----BEGIN")


class RedisSettings(BaseModel):
    """How to reach the Redis (or Valkey) that holds BullMQ's queues. The variables are the web app's own."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=True)

    host: Annotated[str, AfterValidator(_host_only)] = Field(
        validation_alias="REDIS_HOST", description="the host name of Redis, the same as the web app's"
    )
    port: int = Field(
        6379, validation_alias="REDIS_PORT", ge=1, le=65535, description="the port of Redis, 1 to 65535 (default 6379)"
    )
    username: str | None = Field(
        None, validation_alias="REDIS_USERNAME", description="the user's name, where Redis has ACL users"
    )
    password: SecretStr | None = Field(
        None, validation_alias="REDIS_PASSWORD", description="the password, where Redis asks for one"
    )
    tls: bool = Field(
        False, validation_alias="REDIS_TLS", description="true when Redis is reached over TLS, else false (default)"
    )
    tls_ca: Annotated[str, AfterValidator(_authority)] | None = Field(
        None,
        validation_alias="REDIS_TLS_CA",
        description="a PEM file of the authority that signed Redis' certificate, or its text (default: the system's)",
    )
    db: int = Field(0, validation_alias="REDIS_DB", ge=0, le=1023, description="the number of the database (default 0)")

    def connection(self) -> dict[str, Any]:
        """Arguments for `redis.asyncio.Redis(...)`; the only place where the password leaves its wrapper. With TLS the
        server's certificate and host name are verified, which is redis-py's default."""
        return {
            "host": self.host,
            "port": self.port,
            "username": self.username,
            "password": self.password.get_secret_value() if self.password is not None else None,
            "ssl": self.tls,
            "db": self.db,
            **({} if self.tls_ca is None else {"ssl_ca_data" if _is_pem(self.tls_ca) else "ssl_ca_certs": self.tls_ca}),
        }


def _own_identity() -> str:
    return f"{socket.gethostname()}-{secrets.token_hex(4)}"


class OperatorSettings(BaseModel):
    """Settings of the process `paperjobs operator`."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=True)

    redis: RedisSettings
    namespace: str | None = Field(
        None,
        validation_alias="PAPERJOBS_NAMESPACE",
        pattern=DNS_LABEL,
        description="the namespace to work in (default: the pod's own, or the kubeconfig context's)",
    )
    identity: str = Field(
        default_factory=_own_identity,
        validation_alias="PAPERJOBS_IDENTITY",
        max_length=253,
        description="a name for this replica that no other has (default: host name and a random part)",
    )
    lease_name: str = Field(
        "paperjobs-operator",
        validation_alias="PAPERJOBS_LEASE_NAME",
        pattern=DNS_SUBDOMAIN,
        description="the name of the Lease by which replicas agree who acts (default paperjobs-operator)",
    )
    lease_seconds: int = Field(
        10,
        validation_alias="PAPERJOBS_LEASE_SECONDS",
        ge=5,
        le=300,
        description="seconds after which a silent leader is replaced, 5 to 300 (default 10)",
    )
    http_host: str | None = Field(
        None,
        validation_alias="PAPERJOBS_HTTP_HOST",
        description="the address that probes and metrics are served on (default: every address)",
    )
    http_port: int = Field(
        8080,
        validation_alias="PAPERJOBS_HTTP_PORT",
        ge=0,
        le=65535,
        description="the port of /livez, /readyz and /metrics (default 8080; 0 takes any free port)",
    )
    runner_image: str = Field(
        "paperjobs-runner:latest",
        validation_alias="PAPERJOBS_RUNNER_IMAGE",
        description="the runner's image for every PaperQueue that names none (default paperjobs-runner:latest)",
    )
    resync_seconds: int = Field(
        300,
        validation_alias="PAPERJOBS_RESYNC_SECONDS",
        ge=5,
        le=86400,
        description="seconds between full listings that repair what a watch missed, 5 to 86400 (default 300)",
    )
    log_level: LogLevel = Field(
        LogLevel.INFO, validation_alias="PAPERJOBS_LOG_LEVEL", description="debug, info (default), warning or error"
    )
    log_format: LogFormat = Field(
        LogFormat.JSON, validation_alias="PAPERJOBS_LOG_FORMAT", description="json (default) or text"
    )


def read_settings(model: type[Model], env: Mapping[str, str]) -> Model:
    """Read `model` from the environment; raises SettingsError that lists every wrong variable and its remedy."""
    given = {name: value.strip() for name, value in env.items() if value.strip()}
    try:
        return model.model_validate(_values(model, given))
    except ValidationError as error:
        problems = [_problem(model, detail["loc"], detail["msg"], detail["type"]) for detail in error.errors()]
    # Raised outside the handler: the original error holds the values, secrets included.
    count = "1 setting is wrong" if len(problems) == 1 else f"{len(problems)} settings are wrong"
    raise SettingsError("\n  ".join([f"{count}:", *problems]))


def variables(model: type[BaseModel]) -> list[str]:
    """The names of the variables that a model is read from, for --help."""
    return [name for name, _ in _remedies(model)]


def _values(model: type[BaseModel], given: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            values[name] = _values(field.annotation, given)
        elif isinstance(field.validation_alias, str) and field.validation_alias in given:
            values[field.validation_alias] = given[field.validation_alias]
    return values


def _problem(model: type[BaseModel], location: tuple[int | str, ...], message: str, kind: str) -> str:
    variable = str(location[-1])
    remedy = dict(_remedies(model)).get(variable, "")
    if kind == "missing":
        return f"{variable} is not set; set it to {remedy}"
    said = message.removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        said = "it is not a name that Kubernetes accepts (lower-case letters, digits and '-')"
    return f"{variable}: {said[:1].lower()}{said[1:]}; set it to {remedy}"


def _remedies(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _remedies(field.annotation)
        elif isinstance(field.validation_alias, str):
            yield field.validation_alias, field.description or "a valid value"

"""The runner's settings, read from the environment once; every wrong one is reported together.

Names are those of the web app's `.env`; a name that the seed does not have is optional. An empty value counts as unset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from paperjobs_runner.contract import BUDGETS
from paperjobs_runner.database_url import DatabaseUrlError, normalise_database_url
from paperjobs_runner.settings_asana import AsanaSettings, read_asana
from paperjobs_runner.settings_reader import Reader, http_url, is_one_word
from paperjobs_runner.settings_tagging import TaggingSettings, read_tagging

DEFAULT_MODEL: Final = "claude-haiku-5-5"
"""Cheapest current model; reading an author block needs no more."""

ABSTRACT_TOKENS: Final = 60_000
"""Tokens of a question about a whole paper: the longest journal articles, half a thesis; 12 cents at Sonnet's
price. Longer papers are cut."""
ABSTRACT_TOKENS_RANGE: Final = (3_000, 900_000)
"""Less leaves no room for a paper beside the instructions; more is above every model's context."""

ARXIV_API: Final = "https://export.arxiv.org/api/query"
ARXIV_PDF: Final = "https://export.arxiv.org/pdf"
"""arXiv asks programs to use the host `export.arxiv.org` (info.arxiv.org/help/bulk_data.html)."""

ARXIV_INTERVAL_S: Final = 3.0
"""Seconds between two requests to arXiv (its terms of use); stand-ins on another host need no pause."""


def is_pem(authority: str) -> bool:
    """Whether certificates are given as they are, and not as the name of a file."""
    return authority.startswith("-----BEGIN")


@dataclass(frozen=True, kw_only=True)
class RedisSettings:
    """Where BullMQ lives."""

    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    tls: bool
    db: int
    tls_ca: str | None = None
    """A PEM file of the authority that signed Redis' certificate, or its text; None for the system's authorities."""


@dataclass(frozen=True, kw_only=True)
class ArxivSettings:
    """Where arXiv is asked, and how we introduce ourselves."""

    api_url: str
    pdf_url: str
    user_agent: str
    interval_s: float


@dataclass(frozen=True, kw_only=True)
class AdobeSettings:
    """Credentials of Adobe PDF Services; `url` replaces the region's address."""

    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    url: str | None
    region: str


@dataclass(frozen=True, kw_only=True)
class ClaudeSettings:
    """Credentials of the Anthropic API and the model to ask."""

    api_key: str = field(repr=False)
    model: str
    base_url: str | None
    abstract_tokens: int = ABSTRACT_TOKENS
    """Tokens that a question about a whole paper may have (llm-processing)."""


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """Where files are kept: an S3 bucket, or a folder when there is none."""

    bucket: str | None
    region: str | None
    folder: Path | None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a run needs to know of its surroundings."""

    redis: RedisSettings | None
    database_url: str = field(repr=False)
    """In SQLAlchemy's form."""
    arxiv: ArxivSettings
    adobe: AdobeSettings | None
    """None: text is extracted with pypdf."""
    claude: ClaudeSettings
    storage: StorageSettings
    asana: AsanaSettings | None = None
    """None: no tasks are kept in Asana."""
    tagging: TaggingSettings = field(default_factory=TaggingSettings)


def read_settings(env: Mapping[str, str]) -> Settings:
    """Read every setting; raises SettingsInvalid with one line for each that is wrong."""
    reader = Reader(env)
    settings = Settings(
        redis=_redis(reader),
        database_url=reader.read("DATABASE_URL", _database_url, required="postgresql://… or sqlite:///…") or "",
        arxiv=_arxiv(reader),
        adobe=_adobe(reader),
        claude=ClaudeSettings(
            api_key=reader.read("ANTHROPIC_API_KEY", _key, required="the key of the Anthropic API") or "",
            model=reader.text("ANTHROPIC_MODEL") or DEFAULT_MODEL,
            base_url=reader.read("ANTHROPIC_BASE_URL", http_url),
            abstract_tokens=reader.read("PAPERJOBS_ABSTRACT_TOKENS", _abstract_tokens) or ABSTRACT_TOKENS,
        ),
        storage=_storage(reader),
        asana=read_asana(reader),
        tagging=read_tagging(reader),
    )
    reader.raise_if_wrong()
    return settings


def read_database_url(env: Mapping[str, str]) -> str:
    """DATABASE_URL alone, in SQLAlchemy's form, for the `db` commands; raises SettingsInvalid."""
    reader = Reader(env)
    url = reader.read("DATABASE_URL", _database_url, required="postgresql://… or sqlite:///…")
    reader.raise_if_wrong()
    return url or ""


def read_asana_command(env: Mapping[str, str]) -> tuple[str, AsanaSettings | None, RedisSettings | None]:
    """What `paperjobs-runner asana` needs: DATABASE_URL in SQLAlchemy's form, Asana, and Redis for the budget; raises
    SettingsInvalid."""
    reader = Reader(env)
    url = reader.read("DATABASE_URL", _database_url, required="postgresql://… or sqlite:///…")
    asana, redis = read_asana(reader), _redis(reader)
    reader.raise_if_wrong()
    return url or "", asana, redis


def secrets_in(env: Mapping[str, str]) -> tuple[str, ...]:
    """Every secret value of the environment, valid or not, to be masked in logs."""
    names = (
        "REDIS_PASSWORD",
        "ANTHROPIC_API_KEY",
        "ADOBE_CLIENT_ID",
        "ADOBE_CLIENT_SECRET",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "ASANA_API_KEY",
    )
    values = [env[name].strip() for name in names if env.get(name, "").strip()]
    try:
        values += [password] if (password := urlsplit(env.get("DATABASE_URL", "")).password) else []
    except ValueError:
        values.append(env["DATABASE_URL"])
    return tuple(values)


def _redis(reader: Reader) -> RedisSettings | None:
    host = reader.text("REDIS_HOST")
    port = reader.read("REDIS_PORT", _port)
    db = reader.read("REDIS_DB", _database_number)
    tls = reader.read("REDIS_TLS", _flag)
    tls_ca = reader.read("REDIS_TLS_CA", _authority)
    if reader.text("REDIS_TLS_CA") and not tls:
        reader.wrong("REDIS_TLS_CA: REDIS_TLS is not true, so nothing would be encrypted; set both or none")
    if host is None:
        if reader.text(BUDGETS):
            reader.wrong(f"REDIS_HOST: not set; the budgets in {BUDGETS} are kept in Redis")
        return None
    return RedisSettings(
        host=host,
        port=port or 6379,
        username=reader.text("REDIS_USERNAME"),
        password=reader.text("REDIS_PASSWORD"),
        tls=tls or False,
        db=db or 0,
        tls_ca=tls_ca,
    )


def _arxiv(reader: Reader) -> ArxivSettings:
    api_url = reader.read("ARXIV_API_URL", http_url) or ARXIV_API
    pdf_url = reader.read("ARXIV_PDF_URL", http_url) or ARXIV_PDF
    contact = reader.text("ARXIV_CONTACT")
    if contact is not None and not (contact.isascii() and contact.isprintable()):
        reader.wrong("ARXIV_CONTACT: expected a mail address or a web page, in ASCII")
        contact = None
    agent = "paperjobs-runner/0.1" + (f" (+{contact})" if contact else "")
    is_arxiv = (urlsplit(api_url).hostname or "").endswith("arxiv.org")
    return ArxivSettings(
        api_url=api_url,
        pdf_url=pdf_url.rstrip("/"),
        user_agent=agent,
        interval_s=ARXIV_INTERVAL_S if is_arxiv else 0.0,
    )


def _adobe(reader: Reader) -> AdobeSettings | None:
    client_id, client_secret = reader.text("ADOBE_CLIENT_ID"), reader.text("ADOBE_CLIENT_SECRET")
    url = reader.read("ADOBE_PDF_SERVICES_URL", http_url)
    region = reader.read("ADOBE_REGION", _adobe_region) or "us"
    if (client_id is None) != (client_secret is None):
        missing = "ADOBE_CLIENT_ID" if client_id is None else "ADOBE_CLIENT_SECRET"
        reader.wrong(f"{missing}: not set; set both credentials of Adobe PDF Services, or none to extract with pypdf")
    if client_id is None or client_secret is None:
        return None
    return AdobeSettings(client_id=client_id, client_secret=client_secret, url=url, region=region)


def _storage(reader: Reader) -> StorageSettings:
    bucket, region = reader.text("AWS_S3_BUCKET"), reader.text("AWS_REGION") or reader.text("AWS_DEFAULT_REGION")
    folder = reader.text("PAPERJOBS_STORAGE_DIR")
    if bucket is None and folder is None:
        reader.wrong("AWS_S3_BUCKET: not set; expected a bucket, or a folder in PAPERJOBS_STORAGE_DIR instead")
    if bucket is not None and region is None:
        reader.wrong("AWS_REGION: not set; expected the bucket's region, such as eu-central-1")
    return StorageSettings(bucket=bucket, region=region, folder=Path(folder) if folder else None)


def _database_url(value: str) -> str:
    try:
        return normalise_database_url(value)
    except DatabaseUrlError as error:
        raise ValueError(str(error)) from None


def _key(value: str) -> str:
    if not is_one_word(value):
        raise ValueError("expected a key in ASCII, without spaces and line breaks; copy it once more")
    return value


def _abstract_tokens(value: str) -> int:
    least, most = ABSTRACT_TOKENS_RANGE
    if not (value.isascii() and value.isdecimal()) or not least <= int(value[:9]) <= most:
        raise ValueError(f"expected a number of tokens from {least} to {most}, got {value[:20]!r}")
    return int(value)


def _port(value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= 65535:
        raise ValueError(f"expected a port number from 1 to 65535, got {value[:20]!r}")
    return int(value)


def _database_number(value: str) -> int:
    if not value.isdecimal():
        raise ValueError(f"expected the number of a Redis database, got {value[:20]!r}")
    return int(value)


def _flag(value: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if value.lower() not in known:
        raise ValueError(f"expected true or false, got {value[:20]!r}")
    return known[value.lower()]


def _authority(value: str) -> str:
    import ssl  # costs the start 10 ms, and is nearly never asked for

    try:
        ssl.create_default_context(cafile=None if is_pem(value) else value, cadata=value if is_pem(value) else None)
    except (OSError, ValueError):
        raise ValueError("expected a PEM file of certificates, or their text; none can be read from it") from None
    return value


def _adobe_region(value: str) -> str:
    if value.lower() not in ("us", "eu"):
        raise ValueError(f"expected us or eu, got {value[:20]!r}")
    return value.lower()

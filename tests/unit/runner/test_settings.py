"""Settings: read once, every wrong one reported together, no secret repeated."""

from pathlib import Path

import pytest

from paperjobs_runner.errors import SettingsInvalid
from paperjobs_runner.settings import read_settings, secrets_in

COMPLETE = {
    "REDIS_HOST": "redis",
    "REDIS_PORT": "6380",
    "REDIS_PASSWORD": "hunter22",
    "DATABASE_URL": "postgres://user:db-secret@db/app?sslmode=require",
    "ANTHROPIC_API_KEY": "sk-ant-1",
    "ADOBE_CLIENT_ID": "adobe-id",
    "ADOBE_CLIENT_SECRET": "adobe-secret",
    "AWS_REGION": "eu-central-1",
    "AWS_S3_BUCKET": "papers",
}


def test_the_seeds_variables_are_enough() -> None:
    settings = read_settings(COMPLETE)
    assert settings.redis is not None
    assert (settings.redis.host, settings.redis.port, settings.redis.tls) == ("redis", 6380, False)
    assert settings.database_url == "postgresql+psycopg://user:db-secret@db/app?sslmode=require"
    assert settings.claude.model == "claude-haiku-5-5"
    assert settings.arxiv.api_url == "https://export.arxiv.org/api/query"
    assert settings.arxiv.interval_s == 3
    assert settings.storage.bucket == "papers"


def test_without_adobe_bucket_and_redis_a_laptop_can_still_run() -> None:
    settings = read_settings(
        {
            "DATABASE_URL": "sqlite:///data/papers.db",
            "ANTHROPIC_API_KEY": "sk-ant-1",
            "PAPERJOBS_STORAGE_DIR": "data/files",
            "ADOBE_CLIENT_ID": "  ",
            "ARXIV_API_URL": "http://127.0.0.1:8000/api/query",
        }
    )
    assert settings.adobe is None
    assert settings.redis is None
    assert settings.storage.folder == Path("data/files")
    assert settings.arxiv.interval_s == 0


def test_every_wrong_setting_is_reported_at_once() -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        read_settings(
            {
                "REDIS_HOST": "redis",
                "REDIS_PORT": "many",
                "REDIS_TLS": "perhaps",
                "DATABASE_URL": "mysql://user:db-secret@db/app",
                "ADOBE_CLIENT_ID": "adobe-id",
                "ADOBE_REGION": "moon",
                "AWS_S3_BUCKET": "papers",
                "ARXIV_PDF_URL": "export.arxiv.org",
            }
        )
    lines = refusal.value.message.splitlines()
    named = [line.removeprefix("- ").partition(":")[0] for line in lines[1:]]
    assert sorted(named) == [
        "ADOBE_CLIENT_SECRET",
        "ADOBE_REGION",
        "ANTHROPIC_API_KEY",
        "ARXIV_PDF_URL",
        "AWS_REGION",
        "DATABASE_URL",
        "REDIS_PORT",
        "REDIS_TLS",
    ]
    assert "db-secret" not in refusal.value.message


@pytest.mark.parametrize(
    ("tls", "authority", "said"),
    [
        ("true", "/no/such/file.pem", "none can be read from it"),
        ("true", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----", "none can be read from it"),
        ("false", __file__, "nothing would be encrypted"),  # an authority is named, so TLS was meant
    ],
)
def test_an_authority_that_would_not_protect_redis_is_refused(tls: str, authority: str, said: str) -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        read_settings({**COMPLETE, "REDIS_TLS": tls, "REDIS_TLS_CA": authority})
    assert "REDIS_TLS_CA: " in refusal.value.message
    assert said in refusal.value.message


def test_no_secret_is_in_the_settings_representation() -> None:
    shown = repr(read_settings(COMPLETE))
    for secret in ("hunter22", "db-secret", "sk-ant-1", "adobe-id", "adobe-secret"):
        assert secret not in shown


def test_secrets_are_known_even_when_settings_are_wrong() -> None:
    env = {"DATABASE_URL": "mysql://user:db-secret@db/app", "REDIS_PASSWORD": "hunter22"}
    assert set(secrets_in(env)) == {"db-secret", "hunter22"}


def test_the_token_budget_of_an_abstract_can_be_set() -> None:
    assert read_settings(COMPLETE).claude.abstract_tokens == 60_000
    assert read_settings(COMPLETE | {"PAPERJOBS_ABSTRACT_TOKENS": "20000"}).claude.abstract_tokens == 20_000


@pytest.mark.parametrize("value", ["many", "-1", "2999", "900001", "1e5", "9" * 5_000, "\u0663000"])
def test_a_token_budget_that_no_paper_or_model_fits_is_refused(value: str) -> None:
    with pytest.raises(SettingsInvalid, match="PAPERJOBS_ABSTRACT_TOKENS: expected a number of tokens from 3000 to"):
        read_settings(COMPLETE | {"PAPERJOBS_ABSTRACT_TOKENS": value})


@pytest.mark.parametrize("value", ["sk-ant-1\nsk-ant-2", "sk ant", "sk-ant-\u201c"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_told(value: str) -> None:
    with pytest.raises(SettingsInvalid, match="ANTHROPIC_API_KEY: expected a key in ASCII") as refusal:
        read_settings(COMPLETE | {"ANTHROPIC_API_KEY": value})
    assert (
        "ant" not in refusal.value.message.removeprefix("the runner's settings are wrong:\n- ANTHROPIC_API_KEY").lower()
    )

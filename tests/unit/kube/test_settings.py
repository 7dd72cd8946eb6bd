"""Settings come from the environment once; whoever set them wrong learns everything at once, and no secret."""

from __future__ import annotations

import traceback

import pytest

from paperjobs.errors import SettingsError
from paperjobs.settings import LogLevel, OperatorSettings, RedisSettings, read_settings

PASSWORD = "hunter2"


def test_a_host_is_all_that_must_be_set() -> None:
    settings = read_settings(OperatorSettings, {"REDIS_HOST": "redis.web"})
    assert (settings.redis.host, settings.redis.port, settings.redis.tls) == ("redis.web", 6379, False)
    assert settings.namespace is None
    assert settings.log_level is LogLevel.INFO


def test_every_variable_reaches_its_field() -> None:
    env = {
        "REDIS_HOST": "h",
        "REDIS_PORT": "6380",
        "REDIS_USERNAME": "u",
        "REDIS_PASSWORD": "p",
        "REDIS_TLS": "true",
        "REDIS_DB": "3",
    }
    assert read_settings(RedisSettings, env).connection() == {
        "host": "h",
        "port": 6380,
        "username": "u",
        "password": "p",
        "ssl": True,
        "db": 3,
    }


@pytest.mark.parametrize(
    ("tls", "authority", "said"),
    [
        ("true", "/no/such/file.pem", "no certificates can be read from it"),
        ("true", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----", "no certificates can be read"),
        ("false", __file__, "nothing would be encrypted"),  # an authority is named, so TLS was meant
    ],
)
def test_an_authority_that_would_not_protect_is_refused(tls: str, authority: str, said: str) -> None:
    env = {"REDIS_HOST": "h", "REDIS_TLS": tls, "REDIS_TLS_CA": authority}
    with pytest.raises(SettingsError, match="REDIS_TLS_CA: ") as caught:
        read_settings(OperatorSettings, env)
    assert said in str(caught.value)
    assert authority not in str(caught.value)


def test_an_empty_variable_counts_as_not_set() -> None:
    settings = read_settings(OperatorSettings, {"REDIS_HOST": "h", "REDIS_PASSWORD": "", "PAPERJOBS_NAMESPACE": " "})
    assert settings.redis.password is None
    assert settings.namespace is None


def test_every_wrong_variable_is_reported_together_with_its_remedy() -> None:
    env = {
        "REDIS_PORT": "70000",
        "REDIS_TLS": "perhaps",
        "PAPERJOBS_NAMESPACE": "Not A Name",
        "PAPERJOBS_LEASE_SECONDS": "1",
        "PAPERJOBS_LOG_FORMAT": "xml",
    }
    with pytest.raises(SettingsError) as caught:
        read_settings(OperatorSettings, env)
    lines = str(caught.value).splitlines()
    assert lines[0] == "6 settings are wrong:"
    for expected in (
        "REDIS_HOST is not set; set it to the host name of Redis, the same as the web app's",
        "REDIS_PORT: input should be less than or equal to 65535; set it to the port of Redis, 1 to 65535 "
        "(default 6379)",
        "PAPERJOBS_LOG_FORMAT: input should be 'json' or 'text'; set it to json (default) or text",
    ):
        assert f"  {expected}" in lines
    assert {line.split()[0].rstrip(":") for line in lines[1:]} == {"REDIS_HOST", *env}


def test_a_url_as_host_is_explained() -> None:
    with pytest.raises(SettingsError, match="REDIS_HOST: it is not a host name; an address like"):
        read_settings(RedisSettings, {"REDIS_HOST": "redis://:hunter2@h:6379"})


@pytest.mark.parametrize("variable", ["REDIS_HOST", "REDIS_PORT", "REDIS_TLS", "REDIS_DB"])
def test_no_value_is_ever_shown_since_a_secret_may_be_in_the_wrong_place(variable: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(RedisSettings, {"REDIS_HOST": "h", variable: f"redis://:{PASSWORD}@h"})
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_a_password_is_hidden_wherever_settings_are_printed() -> None:
    settings = read_settings(OperatorSettings, {"REDIS_HOST": "h", "REDIS_PASSWORD": "hunter2"})
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_two_replicas_on_one_host_have_different_identities() -> None:
    one, other = (read_settings(OperatorSettings, {"REDIS_HOST": "h"}) for _ in range(2))
    assert one.identity != other.identity

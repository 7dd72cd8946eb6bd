"""A service is real as soon as the environment names it; everything else is played."""

from __future__ import annotations

import pytest

from paperjobs.local.standins import REAL, to_play, without_proxy
from paperjobs_standins.server import SERVICES


def test_without_keys_everything_is_played() -> None:
    assert to_play({"ANTHROPIC_API_KEY": " ", "HOME": "/root"}) == frozenset(SERVICES)


@pytest.mark.parametrize(("service", "variable"), [(service, names[0]) for service, names in REAL.items()])
def test_a_key_makes_its_service_real(service: str, variable: str) -> None:
    assert to_play({variable: "given"}) == frozenset(SERVICES) - {service}


def test_half_of_adobes_credentials_is_a_mistake_to_report_and_not_a_wish_for_a_stand_in() -> None:
    assert "adobe" not in to_play({"ADOBE_CLIENT_SECRET": "given"})


def test_loopback_is_never_reached_through_a_proxy_and_other_exceptions_stay() -> None:
    env = without_proxy({"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "intranet"})

    assert env["NO_PROXY"].split(",") == ["intranet", "127.0.0.1", "localhost"]
    assert env["no_proxy"] == env["NO_PROXY"]

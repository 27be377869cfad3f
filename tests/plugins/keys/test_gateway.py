"""Which credential of a request counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernel import HTTPError, Identity, Request
from plugins.keys import KeysPlugin

Identify = Callable[..., Identity | None]


@pytest.fixture
def identify(plugin: KeysPlugin) -> Identify:
    def ask(query: str = "", **headers: str) -> Identity | None:
        return plugin.kernel_identify(Request("GET", "/", query, headers))

    return ask


def test_no_credential_is_nobody(identify: Identify) -> None:
    assert identify() is None


@pytest.mark.parametrize("role", ["anon", "service_role"])
def test_an_opaque_key_as_apikey_gives_its_role(identify: Identify, plugin: KeysPlugin, role: str) -> None:
    identity = identify(apikey=plugin.service.api_key(role))

    assert identity == Identity(role, None, {"role": role})


def test_an_opaque_key_in_both_headers_gives_its_role(identify: Identify, plugin: KeysPlugin) -> None:
    key = plugin.service.api_key("service_role")

    identity = identify(apikey=key, authorization=f"Bearer {key}")

    assert identity is not None
    assert identity.role == "service_role"


def test_apikey_decides_over_an_opaque_key_in_authorization(identify: Identify, plugin: KeysPlugin) -> None:
    keys = plugin.service

    identity = identify(apikey=keys.api_key("anon"), authorization=f"Bearer {keys.api_key('service_role')}")

    assert identity is not None
    assert identity.role == "anon"


def test_an_opaque_key_in_authorization_alone_is_verified(identify: Identify, plugin: KeysPlugin) -> None:
    identity = identify(authorization=f"Bearer {plugin.service.api_key('service_role')}")

    assert identity is not None
    assert identity.role == "service_role"


def test_a_users_token_decides_over_apikey(identify: Identify, plugin: KeysPlugin) -> None:
    token = plugin.service.sign({"role": "authenticated", "sub": "7"})

    identity = identify(apikey=plugin.service.api_key("service_role"), authorization=f"Bearer {token}")

    assert identity is not None
    assert (identity.role, identity.subject) == ("authenticated", "7")


@pytest.mark.parametrize("role", ["anon", "service_role"])
@pytest.mark.parametrize("header", ["apikey", "authorization"])
def test_a_legacy_key_gives_its_role(identify: Identify, plugin: KeysPlugin, role: str, header: str) -> None:
    prefix = "bearer " if header == "authorization" else ""

    identity = identify(**{header: prefix + plugin.service.legacy_key(role)})

    assert identity is not None
    assert (identity.role, identity.subject) == (role, None)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer nonsense"},
        {"authorization": "Bearer "},
        {"authorization": "Bearer"},
        {"authorization": "Basic YTpi"},
        {"authorization": "Basic sb_secret_guess"},
        {"authorization": "nonsense"},
        {"authorization": "Bearer sb_secret_guess"},
        {"apikey": "nonsense"},
        {"apikey": "sb_secret_guess"},
        {"apikey": "sb_secret_gu\u00e9ss\udcff"},
    ],
)
def test_a_bad_credential_is_refused_and_never_anonymous(identify: Identify, headers: dict[str, str]) -> None:
    with pytest.raises(HTTPError) as caught:
        identify(**headers)

    assert caught.value.status == 401
    challenge = f'Bearer error="invalid_token", error_description="{caught.value.detail}"'
    assert ("www-authenticate", challenge) in caught.value.headers


@pytest.mark.parametrize("scheme", ["Basic", "Token", "Bearer:", ""])
def test_a_good_credential_under_another_scheme_is_refused(
    identify: Identify, plugin: KeysPlugin, scheme: str
) -> None:
    for credential in (plugin.service.sign({"role": "anon"}), plugin.service.api_key("anon")):
        with pytest.raises(HTTPError, match="only bearer tokens"):
            identify(authorization=f"{scheme} {credential}")


def test_a_bad_bearer_token_is_refused_beside_a_good_apikey(identify: Identify, plugin: KeysPlugin) -> None:
    with pytest.raises(HTTPError):
        identify(apikey=plugin.service.api_key("service_role"), authorization="Bearer nonsense")


def test_apikey_in_the_query_counts_for_websocket_upgrades_only(
    identify: Identify, plugin: KeysPlugin
) -> None:
    query = f"vsn=1.0.0&apikey={plugin.service.api_key('anon')}"

    upgrade = identify(query, upgrade="WebSocket")

    assert upgrade is not None
    assert upgrade.role == "anon"
    assert identify(query) is None

"""The project's secrets: where they come from, and that nobody else sees them."""

from __future__ import annotations

import json
import logging
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from kernel import Kernel, Request
from kernel.config import Config
from kernel.errors import ConfigError
from plugins.keys import KeysPlugin
from plugins.keys.project import DEMONSTRATION_SECRET

Start = Callable[..., KeysPlugin]


def key_file(folder: Path) -> Path:
    return folder / "data" / "keys.json"


def test_the_first_boot_makes_a_key_file_for_its_owner_alone(start: Start, tmp_path: Path) -> None:
    plugin = start(role="worker")

    path = key_file(tmp_path)
    stored = json.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.glob("*.new")) == []
    assert stored["publishable_key"] == plugin.service.api_key("anon")
    assert stored["publishable_key"].startswith("sb_publishable_")
    assert stored["secret_key"] == plugin.service.api_key("service_role")
    assert len(stored["jwt_secret"]) == 64


def test_a_later_boot_has_the_same_keys(start: Start) -> None:
    first, second = (start(role="worker").service for _ in range(2))

    assert first.api_key("anon") == second.api_key("anon")
    assert first.legacy_key("anon") == second.legacy_key("anon")
    assert second.verify(first.sign({"role": "x"})).role == "x"


def test_two_projects_have_different_keys(start: Start) -> None:
    first, second = start().service, start().service

    assert first.api_key("anon") != second.api_key("anon")
    assert first.secret() != second.secret()


def test_a_tests_kernel_writes_no_file(start: Start, tmp_path: Path) -> None:
    start().service.sign({"role": "anon"})

    assert list(tmp_path.rglob("*")) == []


def test_a_tests_keys_follow_from_the_kernels_randomness(tmp_path: Path, clock: Any) -> None:
    class Zeros:
        def bytes(self, size: int) -> bytes:
            return bytes(size)

        def uniform(self, low: float, high: float) -> float:
            return low

    with Kernel(Config(), plugins=[KeysPlugin], role="test", random=Zeros(), clock=clock) as kernel:
        plugin = kernel.plugins["keys"]
        assert isinstance(plugin, KeysPlugin)
        assert plugin.service.api_key("anon") == "sb_publishable_" + "A" * 32


def test_a_secret_in_the_settings_goes_before_the_file(start: Start) -> None:
    secret = "a-secret-from-the-settings-long-enough"
    service = start(role="worker", jwt_secret=secret).service

    read = jwt.decode(service.legacy_key("service_role"), OctKey.import_key(secret), algorithms=["HS256"])

    assert read.claims["role"] == "service_role"
    assert read.claims["exp"] - read.claims["iat"] > 9 * 365 * 86_400


@pytest.mark.parametrize("secret", ["brief", "x" * 31, DEMONSTRATION_SECRET])
def test_a_secret_that_is_short_or_known_to_all_stops_the_boot(start: Start, secret: str) -> None:
    with pytest.raises(ConfigError, match=r"\[keys\] jwt_secret") as caught:
        start(jwt_secret=secret)

    assert secret not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"jwt_secret": "hidden"}', '{"jwt_secret": 7}', "\udcff"])
def test_a_broken_key_file_stops_the_boot_and_is_not_quoted(start: Start, tmp_path: Path, text: str) -> None:
    path = key_file(tmp_path)
    path.parent.mkdir()
    path.write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(ConfigError, match=r"keys\.json is not a key file; restore it") as caught:
        start(role="worker")

    assert "hidden" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert path.read_bytes() == text.encode(errors="surrogateescape")


def test_demonstration_keys_are_the_well_known_ones(start: Start, tmp_path: Path) -> None:
    service = start(role="worker", demonstration=True).service

    assert service.secret().reveal() == DEMONSTRATION_SECRET
    assert service.legacy_key("anon").endswith("CRXP1A7WOeoJeXxjNni43kdQwgnWNReilDMblYTn_I0")
    assert service.legacy_key("service_role").endswith("EGIM96RAZx35lJzdJsyH-qQwv8Hdp7fsn3W0YpN81IU")
    assert service.verify(service.legacy_key("service_role")).role == "service_role"
    assert not key_file(tmp_path).exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_demonstration_keys_work_on_loopback(start: Start, host: str) -> None:
    assert start(host=host, demonstration=True).service.api_key("anon").startswith("sb_publishable_")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", "", "localhost.example.com"])
def test_demonstration_keys_stop_the_boot_where_others_could_reach_them(start: Start, host: str) -> None:
    with pytest.raises(ConfigError, match="keys that everybody knows"):
        start(host=host, demonstration=True)


def test_demonstration_and_a_secret_exclude_each_other(start: Start) -> None:
    with pytest.raises(ConfigError, match="remove one of the two"):
        start(demonstration=True, jwt_secret="a-secret-from-the-settings-long-enough")


def ec(**parameters: Any) -> dict[str, Any]:
    return ECKey.generate_key("P-256", parameters).as_dict(private=True)


@pytest.mark.parametrize(
    ("keys", "because"),
    [
        ("hidden", "not JSON"),
        ('"hidden"', "not a JSON Web Key Set"),
        ('{"keys": ["hidden"]}', "not a JSON Web Key Set"),
        ('{"keys": []}', "no key for signatures"),
        ({"kty": "oct", "k": "hidden"}, "symmetric"),
        ({"kty": "EC", "crv": "P-256", "x": "hidden", "y": "hidden"}, "not a valid JSON Web Key"),
        ({"kty": "EC", "crv": "secp256k1", "x": "hidden"}, "none of RSA"),
        ({"kty": "OKP", "crv": "X25519", "x": "hidden"}, "none of RSA"),
        ({}, "none of RSA"),
        (ec() | {"alg": "HS256"}, "alg does not fit"),
        (ec() | {"alg": "none"}, "alg does not fit"),
        (ec() | {"use": "enc"}, "no key for signatures"),
        ({k: v for k, v in ec().items() if k != "d"}, "must be a private key"),
    ],
)
def test_a_wrong_key_set_stops_the_boot_and_is_not_quoted(start: Start, keys: Any, because: str) -> None:
    with pytest.raises(ConfigError, match=because) as caught:
        start(signing_keys=keys if isinstance(keys, str) else json.dumps(keys))

    assert "hidden" not in str(caught.value)
    assert "signing_keys" in str(caught.value)


@pytest.mark.filterwarnings("ignore:Key size should be")
def test_a_weak_key_stops_the_boot(start: Start) -> None:
    weak = RSAKey.generate_key(1024).as_dict(private=True)

    with pytest.raises(ConfigError, match="2048 bits"):
        start(signing_keys=json.dumps(weak))


def test_key_sets_are_read_from_files_of_the_project(start: Start, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text(json.dumps({"keys": [ec(kid="k1")]}))
    (tmp_path / "theirs.json").write_text(json.dumps({"keys": [ec()]}))

    service = start(
        signing_keys_file="own.json", issuers=[{"issuer": "https://x", "jwks_file": "theirs.json"}]
    ).service

    assert [key["kid"] for key in service.public_keys()] == ["k1"]


@pytest.mark.parametrize(
    ("settings", "because"),
    [
        ({"signing_keys_file": "absent.json"}, r"absent\.json cannot be read: No such file"),
        ({"signing_keys_file": "x", "signing_keys": "{}"}, "give either"),
        ({"issuers": [{"issuer": "https://x"}]}, "https://x.*either jwks or jwks_file"),
        ({"issuers": [{"issuer": "https://x", "jwks_file": "absent.json"}]}, "cannot be read"),
        ({"issuers": [{"issuer": "https://x", "jwks": {"keys": 7}}]}, "not a JSON Web Key Set"),
        ({"issuers": [{"issuer": "https://x", "jwk": {}}]}, "unknown field"),
    ],
)
def test_contradictory_settings_stop_the_boot(start: Start, settings: dict[str, Any], because: str) -> None:
    with pytest.raises(ConfigError, match=because):
        start(**settings)


def test_the_jwks_route_publishes_public_keys_only(start: Start) -> None:
    shared = start()
    response = shared.jwks(Request("GET", "/.well-known/jwks.json", "", {}))
    assert json.loads(response.body) == {"keys": []}  # type: ignore[arg-type]

    own = start(signing_keys=json.dumps(ec(kid="k1")))
    response = own.jwks(Request("GET", "/.well-known/jwks.json", "", {}))
    (key,) = json.loads(response.body)["keys"]  # type: ignore[arg-type]
    assert (key["kid"], key["alg"]) == ("k1", "ES256")
    assert "d" not in key
    assert response.header("cache-control") == "public, max-age=600"


def test_secrets_are_in_no_repr_and_no_log(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    plugin = start(role="worker", signing_keys=json.dumps(ec(kid="k1")))
    service = plugin.service
    service.sign({"role": "anon"})
    seen = [caplog.text, repr(plugin.settings)]
    seen += [
        repr(vars(thing))
        for thing in (plugin, service, service._ready(), service._ready()._own.keys[0].registry)
    ]
    seen += [repr(service._keys), repr(service._ready()._own.keys)]

    for hidden in (service.secret().reveal(), service.api_key("service_role"), json.loads(
        plugin.settings.signing_keys.reveal()
    )["d"]):  # fmt: skip
        assert not any(hidden in text for text in seen)


def show(project: Path, *arguments: str) -> str:
    kernel = Kernel(Config(project=project), plugins=[KeysPlugin], role="command")
    kernel.register()
    (command,) = [command for _, command in kernel.commands()]
    result = CliRunner().invoke(command, ["show", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_show_prints_the_keys_that_the_server_takes(start: Start, tmp_path: Path, clock: Any) -> None:
    before = json.loads(show(tmp_path, "--json"))
    clock.at = datetime.now(UTC)  # the command's own
    service = start(role="worker").service

    assert set(before) == {"publishable_key", "secret_key", "anon_key", "service_role_key", "jwt_secret"}
    assert service.verify(before["publishable_key"]).role == service.verify(before["anon_key"]).role == "anon"
    assert service.verify(before["secret_key"]).role == service.verify(before["service_role_key"]).role
    lines = dict(line.split() for line in show(tmp_path).splitlines())
    assert lines == before


def test_the_token_library_is_loaded_when_a_token_comes_and_not_before() -> None:
    program = (
        "import sys\n"
        "from kernel import Kernel, Request\n"
        "from kernel.config import Config\n"
        "from plugins.keys import KeysPlugin\n"
        "with Kernel(Config(), plugins=[KeysPlugin], role='test') as kernel:\n"
        "    plugin = kernel.plugins['keys']\n"
        "    plugin.kernel_identify(Request('GET', '/', '', {'apikey': plugin.service.api_key('anon')}))\n"
        "    early = 'joserfc' in sys.modules\n"
        "    plugin.service.sign({'role': 'anon'})\n"
        "    sys.exit(2 * early + ('joserfc' not in sys.modules))\n"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

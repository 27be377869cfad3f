"""Verified tokens are remembered, but not beyond their time, their number, or their key."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kernel import Identity, Kernel, Plugin, hookimpl
from kernel.config import Config
from kernel.contracts.keys import InvalidToken
from kernel.contracts.signals import Signals
from plugins.keys import KeysPlugin
from plugins.keys.cache import VerifiedTokens
from plugins.keys.project import generate
from plugins.keys.tokens import Tokens

ANON = Identity("anon")


def test_the_least_recently_used_goes_first() -> None:
    known = VerifiedTokens(2)
    known.put("a", ANON, None)
    known.put("b", ANON, None)
    known.get("a", 0)
    known.put("c", ANON, None)

    assert [name for name in "abc" if known.get(name, 0)] == ["a", "c"]
    assert len(known) == 2


def test_an_expired_token_is_forgotten() -> None:
    known = VerifiedTokens(2)
    known.put("a", ANON, 10)

    assert known.get("a", 9.9) is ANON
    assert known.get("a", 10) is None
    assert len(known) == 0


def test_a_token_is_verified_once(plugin: KeysPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    text = plugin.service.sign({"role": "anon"})
    first = plugin.service.verify(text)
    monkeypatch.setattr(Tokens, "verify", None)

    assert plugin.service.verify(text) is first


def test_a_refused_token_is_not_remembered(plugin: KeysPlugin) -> None:
    for _ in range(2):
        with pytest.raises(InvalidToken):
            plugin.service.verify(plugin.service.sign({"role": ""}))


def test_a_token_verified_while_the_keys_change_is_not_remembered(
    plugin: KeysPlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, verify = plugin.service, Tokens.verify
    text = service.sign({"role": "anon"})

    def slow(self: Tokens, token: str, now: float) -> tuple[Identity, float | None]:
        result = verify(self, token, now)
        monkeypatch.undo()
        service.open(generate(plugin.kernel.random, plugin.kernel.clock.now()))
        return result

    monkeypatch.setattr(Tokens, "verify", slow)
    service.verify(text)

    with pytest.raises(InvalidToken):
        service.verify(text)


class SignalsPlugin(Plugin):
    """Signals within one process."""

    name = "signals"
    provides = (Signals,)

    @hookimpl
    def kernel_services(self) -> Mapping[type, Any]:
        self.listeners: list[Callable[[str], None]] = []
        return {Signals: self}

    def listen(self, topic: str, listener: Callable[[str], None]) -> Callable[[], None]:
        assert topic == "keys"
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def send(self, topic: str, payload: str = "") -> None:
        for listener in self.listeners:
            listener(payload)


def test_a_signal_has_the_keys_read_again_and_old_tokens_forgotten(tmp_path: Path) -> None:
    config = Config(project=tmp_path)
    with Kernel(config, plugins=[KeysPlugin, SignalsPlugin], role="worker") as kernel:
        plugin, signals = kernel.plugins["keys"], kernel.plugins["signals"]
        assert isinstance(plugin, KeysPlugin)
        assert isinstance(signals, SignalsPlugin)
        keys = plugin.service
        text, opaque = keys.sign({"role": "anon"}), keys.api_key("anon")
        keys.verify(text)
        path = kernel.data / "keys.json"
        stored = json.loads(path.read_text())
        path.write_text(
            json.dumps({**stored, "jwt_secret": "n" * 40, "publishable_key": "sb_publishable_new"})
        )

        keys.verify(text)
        signals.send("keys")

        for old in (text, opaque):
            with pytest.raises(InvalidToken):
                keys.verify(old)
        assert keys.verify("sb_publishable_new").role == "anon"
        assert keys.verify(keys.sign({"role": "anon"})).role == "anon"
    assert signals.listeners == []


def test_a_serving_process_loads_the_token_library_before_it_is_needed(
    start: Callable[..., KeysPlugin], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernel.kernel.WARM_SECONDS", 0.001)
    loaded = threading.Event()
    monkeypatch.setattr("plugins.keys.service.KeysService.warm", lambda service: loaded.set())

    start(role="http")

    assert loaded.wait(5)

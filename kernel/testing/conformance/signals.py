"""What every `Signals` must do."""

from __future__ import annotations

import queue
from typing import Any

import pytest

from kernel.contracts.signals import Signals
from kernel.testing.pytest_plugin import MakeKernel

Heard = queue.SimpleQueue[str]


class SignalsContract:
    """Subclass it, name the class ``Test…`` and override ``kernel_options``.

    Two kernels are made with the same options: these must name one deployment, for example one database file.
    """

    @pytest.fixture
    def kernel_options(self) -> dict[str, Any]:
        """Return the arguments of ``make_kernel``: at least the plugin that provides `Signals`."""
        raise NotImplementedError("override kernel_options")

    @pytest.fixture
    def signals(self, kernel: Any) -> Signals:
        """Return the tested signals."""
        signals: Signals = kernel.services[Signals]
        return signals

    @pytest.fixture
    def elsewhere(self, signals: Signals, make_kernel: MakeKernel, kernel_options: dict[str, Any]) -> Signals:
        """Return the signals of another kernel of the same deployment."""
        other: Signals = make_kernel(**kernel_options).services[Signals]
        return other

    @pytest.mark.parametrize("payload", ["", "one", "naïve ' \" \x01 \U0001f600", "x" * 1000])
    def test_a_signal_reaches_its_listeners(self, signals: Signals, payload: str) -> None:
        """Every one of them, with the payload as it was sent."""
        first, second = Heard(), Heard()
        signals.listen("keys", first.put)
        signals.listen("keys", second.put)
        signals.send("keys", payload)
        assert (first.get(timeout=10), second.get(timeout=10)) == (payload, payload)

    def test_a_signal_reaches_other_processes(self, signals: Signals, elsewhere: Signals) -> None:
        """In both directions."""
        here, there = Heard(), Heard()
        signals.listen("keys", here.put)
        elsewhere.listen("keys", there.put)
        signals.send("keys", "from here")
        assert (_until("from here", here), _until("from here", there)) == (True, True)
        elsewhere.send("keys", "from there")
        assert (_until("from there", here), _until("from there", there)) == (True, True)

    def test_other_topics_are_not_heard(self, signals: Signals) -> None:
        """Neither longer ones nor shorter ones."""
        heard, other = Heard(), Heard()
        signals.listen("key", heard.put)
        signals.listen("keys", other.put)
        signals.send("keys", "not for it")
        assert other.get(timeout=10) == "not for it"
        signals.send("key", "for it")
        assert heard.get(timeout=10) == "for it"

    def test_listening_ends_with_its_undo(self, signals: Signals) -> None:
        """For that listener alone; calling it again does nothing."""
        gone, staying = Heard(), Heard()
        undo = signals.listen("keys", gone.put)
        signals.listen("keys", staying.put)
        undo()
        undo()
        signals.send("keys", "after")
        assert _until("after", staying)
        assert gone.empty()

    def test_a_listener_that_raises_stops_neither_others_nor_itself(self, signals: Signals) -> None:
        """And the sender hears nothing of it."""
        tried, heard = Heard(), Heard()

        def fail(payload: str) -> None:
            tried.put(payload)
            raise LookupError(payload)

        signals.listen("keys", fail)
        signals.listen("keys", heard.put)
        for payload in ("one", "two"):
            signals.send("keys", payload)
            assert _until(payload, tried)
            assert _until(payload, heard)

    def test_a_listener_may_use_the_signals_itself(self, signals: Signals) -> None:
        """Without a deadlock."""
        heard = Heard()
        signals.listen("echo", heard.put)
        signals.listen("keys", lambda payload: signals.send("echo", payload))
        signals.send("keys", "back")
        assert _until("back", heard)


def _until(payload: str, heard: Heard) -> bool:
    """Wait for a payload, past others: a signal may be delivered more than once."""
    try:
        while heard.get(timeout=10) != payload:
            pass
    except queue.Empty:
        return False
    return True

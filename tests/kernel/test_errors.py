from __future__ import annotations

from kernel.errors import ConfigError, PhaseError, describe, nearest


def test_the_nearest_name_is_offered_and_nothing_where_none_is_near() -> None:
    assert nearest("databse", ["database", "rest"]) == "; did you mean 'database'?"
    assert nearest("zzz", ["database", "rest"]) == ""


def test_our_own_errors_speak_for_themselves_and_others_are_named() -> None:
    assert describe(ConfigError("no such key")) == "no such key"
    assert describe(LookupError("x")) == "LookupError: x"
    assert describe(LookupError()) == "LookupError"
    noted = LookupError("x")
    noted.add_note("because\n\tof y")
    assert describe(noted) == "LookupError: x; because of y"


def test_a_failed_phase_names_plugin_phase_and_cause() -> None:
    cause = OSError("disk full")
    error = PhaseError("files", "kernel_start", cause)
    assert str(error) == "plugin 'files' failed in kernel_start: OSError: disk full"
    assert (error.plugin, error.phase, error.cause) == ("files", "kernel_start", cause)

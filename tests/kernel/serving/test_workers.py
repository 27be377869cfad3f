"""Several serving processes under one parent."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

SERVE = (sys.executable, "-m", "kernel", "serve", "--port", "{port}")


@pytest.fixture
def two(run):
    return run(*SERVE, "--workers", "2")


def children(process):
    path = Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children")
    return [int(pid) for pid in path.read_text().split()]


def pids(server, requests=60):
    with ThreadPoolExecutor(8) as pool:
        return Counter(answer["pid"] for answer in pool.map(lambda _: server.json("/plain"), range(requests)))


def version(server):
    """Ask for the version; a connection that has not sent its request yet may be closed by a retiring worker."""
    try:
        return server.json("/version")
    except OSError:
        return None


def until(condition, seconds=15.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_all_workers_serve_one_port_and_stop_together(two):
    until(lambda: set(pids(two)) == set(children(two)) and len(children(two)) == 2)
    assert two.stop() == 0
    assert two.notes == ["stopped", "stopped"]


def test_the_parent_imports_no_plugin_and_no_server(two):
    maps = Path(f"/proc/{two.popen.pid}/maps").read_text()
    assert "_granian" not in maps
    assert "_granian" in Path(f"/proc/{children(two)[0]}/maps").read_text()


def test_a_worker_that_dies_is_replaced(two):
    until(lambda: len(children(two)) == 2)
    victim = children(two)[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(children(two)) == 2 and victim not in children(two))
    until(lambda: set(pids(two)) == set(children(two)))
    assert f"worker {victim} ended with signal SIGKILL" in two.log
    assert two.stop() == 0


def test_workers_end_when_their_parent_is_killed(two):
    workers = children(two)
    two.popen.kill()
    two.popen.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


def test_a_request_in_flight_finishes_in_its_worker(two):
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(two.get, "/slow?0.7")
        two.wait_for("slow began")
        assert two.stop() == 0
        assert slow.result()[0] == 200


def test_a_signal_to_the_whole_group_is_one_signal(two):
    """As from a service manager, which signals every process of a unit."""
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(two.get, "/slow?0.7")
        two.wait_for("slow began")
        for pid in [*children(two), two.popen.pid]:
            os.kill(pid, signal.SIGTERM)
        assert two.popen.wait(10) == 0
        assert slow.result()[0] == 200


def test_a_second_signal_kills_the_workers(two):
    workers = children(two)
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(two.get, "/slow?5")
        two.wait_for("slow began")
        two.popen.send_signal(signal.SIGTERM)
        until(lambda: len(children(two)) < 2 or two.get("/plain")[0] == 503)
        assert two.stop() == 128 + signal.SIGTERM
        with pytest.raises(OSError):
            slow.result()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


@pytest.mark.long
def test_workers_that_cannot_start_any_more_end_the_server(two):
    until(lambda: len(pids(two)) == 2)
    (two.project / "wire.py").write_text("this is not Python")
    os.kill(children(two)[0], signal.SIGKILL)
    assert two.popen.wait(20) == 1
    assert two.log.count("error: ") == 3
    assert "Traceback" not in two.log


@pytest.mark.long
def test_a_changed_file_is_served_without_dropping_what_is_in_flight(run):
    server = run(*SERVE, "--reload")
    source = server.project / "wire.py"
    assert server.json("/version") == 1
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(server.get, "/slow?1.5")
        server.wait_for("slow began")
        source.write_text(source.read_text().replace("VERSION = 1", "VERSION = 2"))
        until(lambda: version(server) == 2)
        assert slow.result()[0] == 200
    assert server.stop() == 0


@pytest.mark.long
def test_a_broken_change_leaves_the_version_before_running(run):
    server = run(*SERVE, "--reload")
    source = server.project / "wire.py"
    text = source.read_text()
    source.write_text("this is not Python")
    until(lambda: "the one before goes on" in server.log)
    assert server.json("/version") == 1
    source.write_text(text.replace("VERSION = 1", "VERSION = 3"))
    until(lambda: version(server) == 3)
    assert server.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_serving_process_looks_for_garbage_but_not_in_what_its_boot_made(run, workers):
    (run.project / "garbage.py").write_text(
        "import gc\n"
        "from kernel import Plugin, Route, hookimpl\n"
        "class GarbagePlugin(Plugin):\n"
        "    name = 'garbage'\n"
        "    @hookimpl\n"
        "    def kernel_routes(self):\n"
        "        yield Route('GET', '/gc', self.look)\n"
        "    def look(self, request):\n"
        "        return {'enabled': gc.isenabled(), 'left_alone': gc.get_freeze_count()}\n"
    )
    server = run(*SERVE, "--workers", workers, plugins__enable='["wire:WirePlugin", "garbage:GarbagePlugin"]')
    assert server.json("/gc")["enabled"] is True
    until(lambda: server.json("/gc")["left_alone"] > 10_000)

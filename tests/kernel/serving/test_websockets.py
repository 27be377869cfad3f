"""WebSockets through the gateway, with a published client."""

from __future__ import annotations

import socket
import struct

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


def open_socket(server, path, **options):
    return connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None, open_timeout=5, **options)


def test_messages_go_both_ways_as_text_and_as_bytes(server):
    with open_socket(server, "/echo") as client:
        for message in ("grüße", b"\x00\xff", "", "x" * 1_000_000):
            client.send(message)
            assert client.recv(5) == message


def test_the_handler_ends_when_the_client_closes(server):
    before = server.notes.count("echo ended")
    with open_socket(server, "/echo") as client:
        client.send("a")
        client.recv(5)
    server.wait_for("echo ended", before + 1)


def test_a_client_that_is_cut_off_ends_the_handler_without_a_traceback(server):
    before, ended = server.log, server.notes.count("echo ended")
    with open_socket(server, "/echo") as client:
        client.send("a")
        client.recv(5)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.close()
    server.wait_for("echo ended", ended + 1)
    assert "Traceback" not in server.log[len(before) :]


@pytest.mark.parametrize(
    ("path", "status"), [("/nowhere", 404), ("/echo?refuse", 401), ("/plain", 404), ("/named/a%00b", 400)]
)
def test_a_refused_upgrade_gets_its_status(server, path, status):
    with pytest.raises(InvalidStatus) as caught:
        open_socket(server, path)
    assert caught.value.response.status_code == status


def test_a_handler_that_fails_is_logged_and_its_socket_closed(server):
    with open_socket(server, "/broken") as client, pytest.raises(ConnectionClosed):
        client.recv(5)
    assert "secret text" in server.log

"""Granian's interface: HTTP and WebSockets on one port."""

"""Serving a kernel: the RSGI gateway behind `kernel serve`, and the WSGI application for any other server."""

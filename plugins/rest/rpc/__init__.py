"""Functions over HTTP, under ``/rest/v1/rpc``."""

"""Imports: large bodies of rows, under ``/import/v1``."""

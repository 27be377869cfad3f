"""Backing up and restoring: the archive, the project, and each engine's database."""

"""What either engine says where a statement has taken too long."""

from __future__ import annotations

HINT = "Ask for less at a time; [database] statement_timeout sets how long a statement may take."

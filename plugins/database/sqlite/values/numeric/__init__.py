"""Numbers: their ranges and texts, arithmetic, powers."""

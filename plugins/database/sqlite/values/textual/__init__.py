"""Text, bytes and patterns."""

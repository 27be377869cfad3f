"""The change log on both engines, and following it."""

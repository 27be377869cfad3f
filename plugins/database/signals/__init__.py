"""The Signals contract on both engines."""

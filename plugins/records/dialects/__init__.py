"""What differs between engines in the statements that are compiled."""

"""Statements that write, with what runs before and after them."""

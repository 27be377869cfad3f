"""Moments and intervals: literals, arithmetic, fields, templates."""

"""Grants, roles, policies, and what becomes of them."""

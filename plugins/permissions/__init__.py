"""What callers may do, told and explained: grants, policies and row security."""

from plugins.permissions.plugin import PermissionsPlugin

__all__ = ["PermissionsPlugin"]

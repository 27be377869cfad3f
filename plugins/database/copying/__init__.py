"""Copying all rows from one database into another, of whichever engines."""

"""The built-in commands, one module each or one for each family."""

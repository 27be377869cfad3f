"""Bundled plugins, one folder each; they load like anyone's through entry points."""

"""Scripted peers and figures for every test of TCP."""

from usertcp.testing.pytest_plugin import figure, peer

__all__ = ["figure", "peer"]

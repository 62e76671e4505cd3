"""A scripted peer for the tests that need TCP states; the rest make their own benches."""

from usertcp.testing.pytest_plugin import peer

__all__ = ["peer"]

"""kvcy: a secure, persistent, crash-safe key-value store: server, embedded store and client."""

from kvcy.version import VERSION as __version__

__all__ = ["__version__"]

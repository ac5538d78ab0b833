"""kvcy: a secure, persistent, crash-safe key-value store: server, embedded store and client."""

__version__ = "0.1.0"

"""The server: trio outside, native reactors inside."""

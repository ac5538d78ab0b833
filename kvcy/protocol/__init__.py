"""The Redis protocol (RESP2 and RESP3): parser, reply writer, reply reader. Knows no command and no table."""

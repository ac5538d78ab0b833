"""The names of keyspace events: see events.pxd."""

EVENTS: tuple[tuple[str, str], ...]
LETTERS: str
ALL_LETTERS: str

"""Commands that walk the keyspace; only the rows are visible to Python."""

from kvcy.commands.rows import Row

ROWS: tuple[Row, ...]

"""Commands that look at how a value is kept; only the rows are visible to Python."""

from kvcy.commands.rows import Row

ROWS: tuple[Row, ...]

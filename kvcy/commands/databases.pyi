"""Commands on whole databases; only the rows are visible to Python."""

from kvcy.commands.rows import Row

ROWS: tuple[Row, ...]

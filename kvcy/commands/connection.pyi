from kvcy.commands.rows import Row

ROWS: tuple[Row, ...]

"""The offline tools: check, repair, dump and load data directories. Command lines: kvcy/cli/tools.py, docs/tools.md."""

"""The engine: entries, tables, shards and the keyspace, in C without the GIL. Knows no socket and no protocol."""

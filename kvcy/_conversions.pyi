"""The rest is not visible to Python: see _conversions.pxd."""

_Data = bytes | bytearray | memoryview

def data_bytes(source: _Data) -> bytes: ...

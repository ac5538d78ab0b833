"""engine/checksum.pyx: CRC-32C by the instruction and by tables, against published values and a bitwise reference."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from probes import files_probe


@pytest.fixture(params=[True, False], ids=["instruction", "tables"])
def way(request: pytest.FixtureRequest) -> Iterator[bool]:
    wanted: bool = request.param
    if files_probe.use_hardware(wanted) != wanted:
        pytest.skip("this processor has no such instruction")
    yield wanted
    files_probe.use_hardware(True)


def reference(data: bytes, crc: int = 0) -> int:
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


VECTORS = [  # RFC 3720, appendix B.4, and the usual check value
    (b"", 0),
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (b"123456789", 0xE3069283),
]


@pytest.mark.parametrize("data, crc", VECTORS)
def test_known_values(way: bool, data: bytes, crc: int) -> None:
    assert files_probe.checksum(data) == crc
    assert reference(data) == crc


def test_every_length_and_alignment(way: bool) -> None:
    data = bytes(i * 7 + 3 & 255 for i in range(100))
    for start in range(9):
        for end in range(start, 60):
            assert files_probe.checksum(memoryview(data)[start:end]) == reference(data[start:end])


def test_continues(way: bool) -> None:
    data = bytes(i * 31 & 255 for i in range(200))
    whole = files_probe.checksum(data)
    for cut in range(201):
        assert files_probe.checksum(data[cut:], files_probe.checksum(data[:cut])) == whole

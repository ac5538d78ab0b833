"""engine/hash.pxd against two other implementations of SipHash-1-3: one written here, and CPython's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.hash_probe import hash_of

MASK = (1 << 64) - 1


def rotate(word: int, by: int) -> int:
    return (word << by | word >> (64 - by)) & MASK


def siphash(key: tuple[int, int], data: bytes, compression: int, finalisation: int) -> int:
    """SipHash-c-d as the paper defines it."""
    v = [
        key[0] ^ 0x736F6D6570736575,
        key[1] ^ 0x646F72616E646F6D,
        key[0] ^ 0x6C7967656E657261,
        key[1] ^ 0x7465646279746573,
    ]

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0] = (v[0] + v[1]) & MASK
            v[2] = (v[2] + v[3]) & MASK
            v[1] = rotate(v[1], 13) ^ v[0]
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[1]) & MASK
            v[0] = (v[0] + v[3]) & MASK
            v[1] = rotate(v[1], 17) ^ v[2]
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = rotate(v[2], 32)

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 255])
    for start in range(0, len(padded), 8):
        word = int.from_bytes(padded[start : start + 8], "little")
        v[3] ^= word
        rounds(compression)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(finalisation)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def test_the_model_gives_the_papers_vector() -> None:
    """Appendix A of the paper: SipHash-2-4 of 00 01 .. 0e under the key 00 01 .. 0f."""
    key = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
    assert siphash(key, bytes(range(15)), 2, 4) == 0xA129CA6149BE45E5


@settings(deadline=None)
@given(k0=st.integers(0, MASK), k1=st.integers(0, MASK), data=st.binary(max_size=100))
def test_is_siphash_1_3(k0: int, k1: int, data: bytes) -> None:
    assert hash_of(k0, k1, data) == siphash((k0, k1), data, 1, 3)


def test_every_length_at_every_alignment() -> None:
    data = bytes((7 * i + 3) & 255 for i in range(80))
    for offset in range(9):
        for end in range(offset, 80):
            expected = siphash((1, 2), data[offset:end], 1, 3)
            assert hash_of(1, 2, data[:end], offset) == expected


@pytest.mark.skipif(sys.hash_info.algorithm != "siphash13", reason="this Python hashes in another way")
def test_agrees_with_cpython() -> None:
    """With PYTHONHASHSEED=0, CPython's key is zero."""
    texts = ["x" * size for size in range(1, 40)]
    script = "import json, sys; print(json.dumps([hash(text.encode()) for text in json.load(sys.stdin)]))"
    output = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(texts),
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert [hash_of(0, 0, text.encode()) for text in texts] == [number & MASK for number in json.loads(output)]

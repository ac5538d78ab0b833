"""server/data.py: how many shards a store gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvcy.engine.directory import Manifest
from kvcy.server.data import SHARD_BYTES_MIN, Data, shard_count
from kvcy.server.logs import Log
from kvcy.server.options import Options


def test_a_small_store_has_few_shards() -> None:
    full = shard_count(0)
    assert full >= 16 and full & (full - 1) == 0
    assert shard_count(1) == shard_count(2 * SHARD_BYTES_MIN - 1) == 1
    assert shard_count(2 * SHARD_BYTES_MIN) == shard_count(4 * SHARD_BYTES_MIN - 1) == 2
    assert shard_count(full * SHARD_BYTES_MIN) == shard_count(1 << 40) == full


@pytest.mark.parametrize("maxmemory", [0, 3 * SHARD_BYTES_MIN])
def test_a_directory_keeps_its_number(tmp_path: Path, maxmemory: int) -> None:
    for limit in (maxmemory, 1 << 40):
        data = Data(Options(dir=str(tmp_path), appendonly=True, maxmemory=limit), Log("/dev/null"))
        data.load()
        data.loaded()
        data.close()
        [manifest] = tmp_path.glob("*manifest*")
        assert Manifest.decode(manifest.read_bytes()).shards == shard_count(maxmemory)

"""A process that is killed at any call that changes the disk leaves what the next one needs (kill_at_call.py).

`KVCY_KILL_SEEDS=20 python -m pytest tests/test_kill_at_call.py` kills that many scripts of each kind everywhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SEEDS = int(os.environ.get("KVCY_KILL_SEEDS", "1"))
KINDS = {"make_directory", "open", "write", "half a write", "sync", "allocate", "rename", "unlink", "truncate"}


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
@pytest.mark.parametrize("script", ["new", "torn"])
def test_a_kill_at_every_call(script: str, seed: int) -> None:
    # A process of its own, without threads, since it forks.
    command = [sys.executable, str(Path(__file__).with_name("kill_at_call.py")), script, str(seed)]
    environment = {**os.environ, "PYTHONSAFEPATH": ""}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr
    assert set(json.loads(ended.stdout)) >= KINDS - {"allocate"}  # a short run may stay in its segments


def test_a_kill_at_every_call_of_a_restore() -> None:
    command = [sys.executable, str(Path(__file__).with_name("kill_restore.py"))]
    environment = {**os.environ, "PYTHONSAFEPATH": ""}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr
    kinds = {"make_directory", "open", "write", "half a write", "sync", "rename", "unlink", "remove_directory"}
    finishing = {f"finishing: {kind}" for kind in ("make_directory", "sync", "rename", "remove_directory")}
    assert set(json.loads(ended.stdout)) >= kinds | finishing | {"before", "result"}

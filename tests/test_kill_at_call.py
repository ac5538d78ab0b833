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

SEEDS = int(os.environ.get("KVCY_KILL_SEEDS", "0"))  # 0: one, and but for `new` only some of the calls done in part
KINDS = {"make_directory", "open", "write", "sync", "rename"}
IN_PART = {"half of write", "sectors of write", "head of write"}
LOGGED = KINDS | IN_PART | {"unlink", "truncate"}
IN_CHILD = {"write of a child", "half of write of a child", "head of write of a child"}
FOUND = {
    "new": LOGGED | {"allocate", "half of allocate"},
    "always": LOGGED | {"allocate"},
    "torn": LOGGED,  # a short run may stay in its segments
    "forked": LOGGED | IN_CHILD,
    "unlogged": KINDS | IN_PART,
    "unlogged-forked": KINDS | IN_CHILD,
}


@pytest.mark.parametrize("seed", range(1, max(SEEDS, 1) + 1))
@pytest.mark.parametrize("script", FOUND)
def test_a_kill_at_every_call(script: str, seed: int) -> None:
    # A process of its own, without threads, since it forks.
    step = "1" if SEEDS or script == "new" else "5"
    command = [sys.executable, str(Path(__file__).with_name("kill_at_call.py")), script, str(seed), step]
    environment = {**os.environ, "PYTHONSAFEPATH": ""}
    timeout = None if SEEDS else 1200
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    assert ended.returncode == 0, f"status {ended.returncode}: {ended.stderr}"
    assert set(json.loads(ended.stdout)) >= FOUND[script]


def test_a_kill_at_every_call_of_a_restore() -> None:
    command = [sys.executable, str(Path(__file__).with_name("kill_restore.py"))]
    environment = {**os.environ, "PYTHONSAFEPATH": ""}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr
    kinds = {"make_directory", "open", "write", *IN_PART, "sync", "rename", "unlink", "remove_directory"}
    finishing = {f"finishing: {kind}" for kind in ("make_directory", "sync", "rename", "remove_directory")}
    assert set(json.loads(ended.stdout)) >= kinds | finishing | {"before", "result"}

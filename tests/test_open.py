"""kvcy.open with a directory: what is kept, and who may open it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import kvcy

CRASH = """
import sys, kvcy
store = kvcy.open(sys.argv[1], appendfsync="always")
store[b"a"] = b"1"
store.incr(b"n", 41)
store.incr(b"n")
store.set(b"gone", b"x")
del store[b"gone"]
print("done", flush=True)
sys.stdin.read()
"""

# The child outlives its parent.
FORK = """
import os, sys, kvcy
store = kvcy.open(sys.argv[1], appendfsync="always")
store[b"a"] = b"1"
ready, done = os.pipe()
ended, end = os.pipe()
if os.fork():
    os.close(ended)
    os.close(done)
    os.read(ready, 1)
    store[b"b"] = b"2"
    sys.exit()
os.close(end)
said = []
for name, call in ("get", lambda: store[b"a"]), ("set", lambda: store.set(b"a", b"of the child")):
    try:
        call()
    except kvcy.StoreClosedError as error:
        said.append(f"{name} {error}")
store.close()
print(*said, sep=", ", flush=True)
os.write(done, b"x")
os.read(ended, 1)
print("the parent has ended", flush=True)
sys.stdin.read()
"""


def test_a_store_is_found_again(tmp_path: Path) -> None:
    with kvcy.open(tmp_path / "data") as store:
        store[b"a"] = b"1"
        store.set(b"b", b"x" * 100_000, ttl=1000)
        store.execute("MSET", "c", "3", "d", "4")
        store.pop(b"c")
    with kvcy.open(tmp_path / "data", appendfsync="always", shards=4) as store:
        assert sorted(store) == [b"a", b"b", b"d"]
        assert store[b"b"] == b"x" * 100_000
        assert 900 < (store.ttl(b"b") or 0) <= 1000
        store.clear()
    with kvcy.open(tmp_path / "data") as store:
        assert len(store) == 0


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CRASH, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    with kvcy.open(tmp_path) as store:
        assert dict(store.items()) == {b"a": b"1", b"n": b"42"}


def test_a_second_opener_is_refused(tmp_path: Path) -> None:
    with kvcy.open(tmp_path), pytest.raises(kvcy.DirectoryInUseError, match=f"in use by process {os.getpid()}"):
        kvcy.open(tmp_path)
    kvcy.open(tmp_path).close()


def test_a_closed_store_is_closed(tmp_path: Path) -> None:
    store = kvcy.open(tmp_path)
    store.close()
    store.close()
    with pytest.raises(kvcy.StoreClosedError):
        store.get(b"a")


def test_a_fork_leaves_the_store_to_its_parent(tmp_path: Path) -> None:
    script = [sys.executable, "-c", FORK, str(tmp_path)]
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        message = "the store is that of the process of which this one is a fork"
        assert process.stdout.readline() == f"get {message}, set {message}\n"
        assert process.stdout.readline() == "the parent has ended\n"
        with kvcy.open(tmp_path) as store:  # though the child is there
            assert dict(store.items()) == {b"a": b"1", b"b": b"2"}
        process.stdin.close()


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(kvcy.DirectoryError, match="cannot be used"):
        kvcy.open(tmp_path / "file")


@pytest.mark.parametrize("path", [b"data", 3])
def test_a_path_of_another_type_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: object) -> None:
    """Before anything is made there."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError, match="a directory's path is a str"):
        kvcy.open(path)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_an_unknown_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="appendfsync must be always, everysec or no"):
        kvcy.open(tmp_path, appendfsync="sometimes")


def test_a_process_that_just_ends_has_kept_its_changes(tmp_path: Path) -> None:
    code = "import sys, kvcy; store = kvcy.open(sys.argv[1], appendfsync='no'); store[b'a'] = b'1'"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=60, check=True)
    with kvcy.open(tmp_path) as store:
        assert store[b"a"] == b"1"

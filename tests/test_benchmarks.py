"""The benchmarks have what they are made of."""

from __future__ import annotations

import re
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


def test_every_file_that_a_benchmark_compiles_is_there() -> None:
    named = {name for path in BENCHMARKS.glob("*.py") for name in re.findall(r'with_name\("(.+?)"\)', path.read_text())}
    assert named
    assert {name for name in named if not BENCHMARKS.joinpath(name).exists()} == set()

"""Lets a benchmark import what the tests have, and the package from this source tree: to be imported before these."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

sys.path += [str(ROOT), str(ROOT / "tests")]


def build_probes() -> None:
    """Builds the probes, as far as they are out of date."""
    from probes.build import build

    build()

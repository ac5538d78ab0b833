"""Builds the probes that benchmarks share with the tests, before they are collected."""

from __future__ import annotations

import pytest


def pytest_sessionstart(session: pytest.Session) -> None:
    """Build the probes, or stop with the compiler's message."""
    from probes.build import ProbeError, build

    try:
        build()
    except ProbeError as error:
        pytest.exit(str(error), returncode=4)

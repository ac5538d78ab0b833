"""What every test run needs before the first test: the right kvcy on the path, and the probes built.

Tests import kvcy from where it is compiled. That is this source tree after an editable install or
`build_ext --inplace`, and otherwise the installed package, which a source tree without compiled modules must not hide:
`python -m pytest` puts the current directory first.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import kvcy_server

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent


def compiled_in_place() -> bool:
    """Whether this source tree holds compiled modules."""
    return next((ROOT / "kvcy").rglob("*.so"), None) is not None


def arrange_paths() -> None:
    """Make `import kvcy` mean the compiled package, here and in the processes that the tests start."""
    others = [path for path in sys.path if Path(path or ".").resolve() != ROOT]
    # Last it still serves `build_support`, and kvcy itself where there is no other.
    sys.path[:] = [str(ROOT), *others] if compiled_in_place() else [*others, str(ROOT)]
    if str(TESTS) not in sys.path:
        sys.path.append(str(TESTS))
    import kvcy

    os.environ["PYTHONPATH"] = str(Path(kvcy.__file__).resolve().parent.parent)
    os.environ["PYTHONSAFEPATH"] = "1"


arrange_paths()

from examples import examples  # noqa: E402  (from a path that was arranged)

# The same examples in every run, and no complaint that a busy machine is slow.
settings.register_profile(
    "kvcy",
    max_examples=examples(100),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("kvcy")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Build the probes before the test modules that import them are collected."""
    from probes.build import ProbeError, build

    # Some tests hold thousands of connections.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if 0 < hard < 8192 else 8192, hard))
    try:
        build()
    except ProbeError as error:
        pytest.exit(str(error), returncode=4)


@pytest.fixture(scope="module")
def server() -> Iterator[kvcy_server.Server]:
    """A kvcy-server process with default options, shared by the tests of a module."""
    import kvcy_server

    with kvcy_server.running() as running:
        yield running

"""Builds the engine and the probes that use threads in place, in the directory it is started in (tests/tsan/run)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = "."

import setuptools  # noqa: E402
from Cython.Build import cythonize  # noqa: E402

from build_support.flags import BuildExt  # noqa: E402

PROBES = ["probes/race_probe.pyx", "probes/quiet_probe.pyx", "probes/rwlock_probe.pyx"]

sources = [*sorted(str(path) for path in Path("kvcy/engine").glob("*.pyx")), *PROBES]
extensions = [setuptools.Extension(source[:-4].replace("/", "."), [source]) for source in sources]
distribution = setuptools.Distribution(
    {"name": "tsan", "ext_modules": cythonize(extensions, quiet=True), "packages": [], "py_modules": []}
)
distribution.cmdclass = {"build_ext": BuildExt}
distribution.script_args = ["--quiet", "build_ext", "--inplace"]
distribution.parse_command_line()
distribution.run_commands()

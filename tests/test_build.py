"""The build: what Cython says about a module is an error where the build is strict."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from source_tree import ROOT

DIRECTIVES = "# cython: language_level=3\n"
QUIET = DIRECTIVES + "cdef int twice(int number) noexcept nogil:\n    return 2 * number\n\nprint(twice(1))\n"
# Asks for the GIL after each call, to look for an exception.
HINTED = QUIET + "\ncdef void nothing() nogil:\n    pass\n\nwith nogil:\n    nothing()\n"
WARNED = QUIET + "\ncdef class Twice:\n    def __cinit__(self):\n        cdef int unused\n        print(unused)\n"

BUILD = """
import sys
sys.path.insert(0, sys.argv[1])
import setuptools
from build_support.flags import BuildExt
setuptools.setup(
    name="sample", packages=[], ext_modules=[setuptools.Extension("sample", ["sample.pyx"])],
    cmdclass={"build_ext": BuildExt}, script_args=["--quiet", "build_ext", "--inplace"],
)
"""


def build(directory: Path, source: str, strict: str) -> tuple[int, str]:
    """Builds a module of that source; the exit status, and what was said."""
    directory.joinpath("sample.pyx").write_text(source)
    result = subprocess.run(
        [sys.executable, "-c", BUILD, str(ROOT)],
        cwd=directory,
        env=dict(os.environ, KVCY_BUILD_STRICT=strict),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout


@pytest.mark.parametrize(("source", "word"), [(HINTED, "performance hint"), (WARNED, "warning")])
def test_what_cython_says_ends_a_strict_build_only(tmp_path: Path, source: str, word: str) -> None:
    status, said = build(tmp_path, source, "1")
    assert status != 0
    assert word in said
    assert "KVCY_BUILD_STRICT" in said
    assert not list(tmp_path.glob("*.so"))
    tmp_path.joinpath("sample.c").unlink()
    status, said = build(tmp_path, source, "0")
    assert (status, len(list(tmp_path.glob("*.so")))) == (0, 1), said
    assert word in said


def test_a_strict_build_that_draws_no_word_succeeds(tmp_path: Path) -> None:
    status, said = build(tmp_path, QUIET, "1")
    assert (status, len(list(tmp_path.glob("*.so")))) == (0, 1), said

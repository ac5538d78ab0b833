"""The compile and link flags of every extension module, in one place.

`pyproject.toml` names `BuildExt` as setuptools' `build_ext` command, so pip, `python -m build`, an editable install
and `build_ext --inplace` all come through here; the `ext-modules` tables hold a name and a source each and nothing
else. The flags are offered to the compiler first, and those it refuses are left out: a linker that is not an ELF
linker has no relro, an old compiler no stack-protector-strong.

Flags given from outside keep their usual meaning: CFLAGS replaces Python's own optimisation flags, CPPFLAGS and LDFLAGS
are added. `-Werror` in either makes warnings fatal, `-UNDEBUG` in CPPFLAGS turns the assertions on, `-fsanitize=...` in
CFLAGS builds for a sanitizer, which wants the unchecked libc calls, hence no _FORTIFY_SOURCE; nor with `-O0`.

With KVCY_BUILD_STRICT=1 the build fails if Cython has a word to say: a warning, or a performance hint, each of which is
a hidden trip to the GIL.

The modules are built on all processors, or on KVCY_BUILD_JOBS of them. Where CYTHON_CACHE_DIR is set, C that Cython
has made before from the same sources is taken from there.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

OPTIMISE = ["-O3"]  # unless CFLAGS chooses a level
HARDEN = [
    "-fstack-protector-strong",
    # Level 3 means 2 to a libc that has no 3. Undefined first, since some distributions define it for everybody.
    "-U_FORTIFY_SOURCE",
    "-D_FORTIFY_SOURCE=3",
]
UNFORTIFIED = ["-fstack-protector-strong", "-U_FORTIFY_SOURCE"]
WARN = [
    "-Wall",
    "-Wextra",
    # PyTypeObject and PyMethodDef tables are written with trailing members left to zero.
    "-Wno-missing-field-initializers",
    # Python's method tables hold functions of several signatures in one pointer type, by design.
    "-Wno-cast-function-type",
]
HARDEN_LINK = ["-Wl,-z,relro", "-Wl,-z,now"]


def fortified() -> bool:
    """Whether the environment leaves room for checked libc calls: these want optimisation, and no sanitizer."""
    flags = " ".join(os.environ.get(name, "") for name in ("CFLAGS", "CPPFLAGS"))
    return "-fsanitize" not in flags and "-O0" not in flags.split()


def optimise() -> list[str]:
    """The optimisation level, which CFLAGS may have chosen already."""
    return [] if "-O" in os.environ.get("CFLAGS", "") else OPTIMISE


def compiles(command: list[str]) -> bool:
    """Whether the compiler takes `command`, given one small C file, without a word."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "flag.c")
        source.write_text("int kvcy_flag(void);\nint kvcy_flag(void) { return 0; }\n")
        result = subprocess.run(
            [*command, str(source), "-o", str(source.with_suffix(".out"))], capture_output=True, check=False
        )
        return result.returncode == 0


def accepted(command: list[str], flags: list[str]) -> list[str]:
    """Those of `flags` that the compiler takes: asked once for all, and one by one only where that fails."""
    if compiles([*command, "-Werror", *flags]):
        return flags
    return [flag for flag in flags if compiles([*command, "-Werror", *OPTIMISE, flag])]


def build_jobs() -> int:
    """How many modules to build at a time."""
    return int(os.environ.get("KVCY_BUILD_JOBS", "0")) or os.cpu_count() or 1


@contextlib.contextmanager
def standard_error_into(file: BinaryIO) -> Iterator[None]:
    """Lets what this process and those it starts write to standard error go to `file`."""
    sys.stderr.flush()
    before = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)


class BuildExt(build_ext):  # type: ignore[misc]  # setuptools has no types of its own
    """setuptools' `build_ext` with the project's flags on every extension."""

    def build_extensions(self) -> None:
        if self.compiler.compiler_type == "unix":
            harden = HARDEN if fortified() else UNFORTIFIED
            compile_flags = accepted([*self.compiler.compiler_so, "-c"], optimise() + harden + WARN)
            link_flags = accepted([*self.compiler.linker_so, "-fPIC"], HARDEN_LINK)
            for extension in self.extensions:
                extension.extra_compile_args = [*compile_flags, *extension.extra_compile_args]
                extension.extra_link_args = [*link_flags, *extension.extra_link_args]
        self.make_c_sources()
        self.parallel = build_jobs()
        super().build_extensions()

    def make_c_sources(self) -> None:
        """Run Cython first, in processes of its own; the compilers can then run from threads.

        Raises CompileError when Cython has said something and the build is strict.
        """
        from Cython.Build import cythonize

        cached = bool(os.environ.get("CYTHON_CACHE_DIR"))
        with tempfile.TemporaryFile() as file:
            try:
                with standard_error_into(file):
                    made = cythonize(  # type: ignore[no-untyped-call]
                        self.extensions, nthreads=build_jobs(), force=self.force, cache=cached
                    )
            finally:
                file.seek(0)
                said = file.read().decode(errors="replace")
                sys.stderr.write(said)
        if said and os.environ.get("KVCY_BUILD_STRICT", "0") != "0":
            raise CompileError("Cython has something to say, and the build is strict (KVCY_BUILD_STRICT)")
        sources = {generated.name: generated.sources for generated in made}
        for extension in self.extensions:
            extension.sources = sources[extension.name]

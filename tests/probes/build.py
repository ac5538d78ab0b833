"""Builds the probes (`tests/probes/*.pyx`) beside their sources, when one of them is out of date.

`tests/conftest.py` calls `build` before the tests are collected, and a test then says `from probes import table_probe`.
The probes are compiled with the package's own flags against the .pxd files of the kvcy that the tests are going to
import, wherever that is installed: an inline function or a struct must be the same on both sides.

What is looked at: the .pyx, .pxd and .h files of probes and package (by modification time), the interpreter, Cython and
the flags in the environment. Where something has changed, Cython's own dependency check decides what is rebuilt; a file
lock lets one of several test runs build and the others wait. A probe that does not build stops the run.

To build by hand: `python tests/probes/build.py`.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

PROBES = Path(__file__).resolve().parent
ROOT = PROBES.parent.parent
OBJECTS = PROBES / ".objects"
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
FLAGS = ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS")


class ProbeError(Exception):
    """The probes do not compile; the message carries the compiler's."""


def package_root() -> Path:
    """The directory that holds the kvcy package the tests import."""
    import kvcy

    return Path(kvcy.__file__).resolve().parent.parent


def fingerprint(include: Path) -> str:
    """All of what decides how a probe is compiled, but for the sources themselves."""
    lines = [sys.version, SUFFIX, str(include)]
    lines += [f"{name}={os.environ.get(name, '')}" for name in FLAGS]
    return "\n".join(lines)


def newest(include: Path) -> int:
    """The modification time, in ns, of the newest file a probe may depend on."""
    files = [ROOT / "build_support" / "flags.py"]
    for directory in (PROBES, include / "kvcy"):
        for pattern in ("*.pyx", "*.pxd", "*.h"):
            files += directory.rglob(pattern)
    return max(file.stat().st_mtime_ns for file in files)


def build() -> None:
    """Bring every probe up to date.

    Raises ProbeError with the compiler's output when one does not compile.
    """
    probes = sorted(PROBES.glob("*.pyx"))
    if not probes:
        return
    include = package_root()
    stamp = PROBES / f".built{SUFFIX}.stamp"
    wanted = fingerprint(include)
    with open(PROBES / ".build.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        same = stamp.exists() and stamp.read_text() == wanted
        complete = all(probe.with_name(probe.stem + SUFFIX).exists() for probe in probes)
        if same and complete and stamp.stat().st_mtime_ns >= newest(include):
            return
        compile_probes(probes, include, force=stamp.exists() and not same)
        stamp.write_text(wanted)


def compile_probes(probes: list[Path], include: Path, force: bool) -> None:
    """Run the compilation in a process of its own: setuptools changes much of the process it runs in."""
    command = [sys.executable, str(PROBES / "build.py"), "--compile", str(include), "force" if force else "changed"]
    command += [probe.stem for probe in probes]
    result = subprocess.run(
        command, cwd=PROBES.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if result.returncode != 0:
        raise ProbeError(f"the probes do not build:\n{result.stdout[-8000:]}")


def compile_here(include: str, force: str, names: list[str]) -> None:
    """The child's part: cythonize and compile `names` in place, in the directory above the probes."""
    sys.path[0] = str(ROOT)
    import setuptools
    from Cython.Build import cythonize

    from build_support.flags import BuildExt, build_jobs

    extensions = [setuptools.Extension(f"probes.{name}", [f"probes/{name}.pyx"]) for name in names]
    # Relative, so that Cython's cache, where one is in use, knows the files again in another checkout.
    include_path = [os.path.relpath(include)]
    cached = bool(os.environ.get("CYTHON_CACHE_DIR"))
    modules = cythonize(
        extensions, include_path=include_path, force=force == "force", quiet=True, cache=cached, nthreads=build_jobs()
    )
    arguments = ["--quiet", "build_ext", "--inplace", "--build-temp", str(OBJECTS), "--build-lib", str(OBJECTS)]
    if force == "force":
        arguments.append("--force")
    distribution = setuptools.Distribution({"name": "probes", "ext_modules": modules, "packages": ["probes"]})
    distribution.cmdclass = {"build_ext": BuildExt}
    distribution.script_args = arguments
    distribution.parse_command_line()
    distribution.run_commands()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--compile"]:
        compile_here(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        sys.path[0] = str(ROOT)
        build()

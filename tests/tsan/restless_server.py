"""A kvcy-server, of a tree that is built with ThreadSanitizer, whose reactors give each other connections all the time.
With `race` as its first argument two threads race first: whoever looks for reports must find one of that."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "tsan")]

import kvcy  # noqa: E402  (from a path that was arranged)
from kvcy.cli.server import main  # noqa: E402
from kvcy.server import balancing  # noqa: E402
from kvcy.server.balancing import Load, Move  # noqa: E402

RANDOM = Random(1)


def restless(loads: Sequence[Load]) -> Move:
    """From anywhere to anywhere else."""
    source, target = RANDOM.sample(range(len(loads)), 2)
    return Move(source, target, RANDOM.randint(1, 8))


if __name__ == "__main__":
    assert Path(kvcy.__file__).is_relative_to(ROOT), kvcy.__file__
    arguments = sys.argv[1:]
    if arguments[:1] == ["race"]:
        import play

        play.race()
        del arguments[0]
    balancing.choose = restless
    balancing.PERIOD_S = 0.005
    sys.exit(main(arguments))

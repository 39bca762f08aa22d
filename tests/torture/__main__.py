"""`python -m tests.torture`: thousands of damaged files of every kind; ends with 1 where one of them did harm."""

from __future__ import annotations

import argparse
import sys
import time

from tests.torture.bench import SHARES, plan_of, torture


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=list(SHARES), help="this kind alone")
    parser.add_argument("--number", type=int, help="this input of the kind alone")
    arguments = parser.parse_args()
    plan = [entry for entry in plan_of(arguments.inputs) if arguments.kind in (None, entry[0])]
    if arguments.number is not None:
        plan = [(arguments.kind, arguments.number)]
    start = time.monotonic()
    report = torture(plan, arguments.seed)
    for kind, number, what in report.faults:
        print(f"--- {kind}, --number {number} --seed {arguments.seed}\n{what}\n")
    print(report.table())
    print(f"{len(plan)} inputs in {time.monotonic() - start:.0f} s, {len(report.faults)} at fault")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())

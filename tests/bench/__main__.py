"""`./run bench [NAME …] [--write]`: run the measurements, print them, and with --write keep them."""

import argparse

from tests.bench import call, rest, rules, start

MEASUREMENTS = {"call": call.run, "start": start.run, "rest": rest.run, "rules": rules.run}


def main() -> None:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(MEASUREMENTS)}; default all", metavar="NAME")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of an interval (default 30)")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"no measurement {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    for name in arguments.names or MEASUREMENTS:
        MEASUREMENTS[name](seconds=arguments.seconds, write=arguments.write)


if __name__ == "__main__":
    main()

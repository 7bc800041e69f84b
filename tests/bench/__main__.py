"""`./run bench [NAME ...] [--write]`: run the measurements, print them, and with --write keep them.

`soak` runs only where it is named: it lasts `--minutes`. Ctrl-C ends it early, with a report of what was seen.
"""

import argparse
from collections.abc import Callable
from functools import partial

from tests.bench import call, cycles, growth, junk, rest, rules, sfu, soak, start, weather

MEASUREMENTS = {
    "call": call.run,
    "start": start.run,
    "rest": rest.run,
    "rules": rules.run,
    "sfu": sfu.run,
    "growth": growth.run,
    "junk": junk.run,
    "cycles": cycles.run,
    "weather": weather.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", help=f"of {', '.join([*MEASUREMENTS, 'soak'])}; default all but soak", metavar="NAME"
    )
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of an interval (default 30)")
    parser.add_argument("--minutes", type=float, default=30.0, help="length of the soak (default 30)")
    parser.add_argument(
        "--cut",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="soak: cut the kiosk's media twice (default: never)",
    )
    arguments = parser.parse_args()
    soaking = partial(soak.run, minutes=arguments.minutes, cut_s=arguments.cut)
    known: dict[str, Callable[..., None]] = {**MEASUREMENTS, "soak": soaking}
    unknown = set(arguments.names) - set(known)
    if unknown:
        parser.error(f"no measurement {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    for name in arguments.names or MEASUREMENTS:
        known[name](seconds=arguments.seconds, write=arguments.write)


if __name__ == "__main__":
    main()

"""`python -m tests.fuzz.under_atheris TARGET FOLDER SECONDS`: hand a target to libFuzzer for so long.

FOLDER keeps the inputs that led somewhere new, and the one that failed, if one did. libFuzzer writes its progress and
"Done N runs" to standard error, and ends with a status other than 0 where a target raised, hung or ate the memory.
"""

import logging
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["appliance", "aiortc"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name, folder, seconds = sys.argv[1:4]
    target = TARGETS[name]
    logging.disable()
    for number, seed in enumerate(target.seeds):
        (Path(folder) / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=1500", "-max_len=8192"]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={folder}/failed-", folder], target.take)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Measurements: each beside a peer in the same run, never an assertion about time. `./run bench`."""

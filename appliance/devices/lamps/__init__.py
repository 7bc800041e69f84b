"""Lamps: `base` holds the protocol, `gpio` and `virtual` satisfy it.

May import ground modules; gpiozero only in `gpio` and, for its mock pins, in `virtual`.
"""

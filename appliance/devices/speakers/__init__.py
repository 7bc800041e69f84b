"""Speakers: `base` holds the protocol, `alsa` and `virtual` satisfy it.

May import ground modules and `devices.conversion`; alsaaudio only in `alsa`.
"""

"""Cameras: `base` holds the protocols, `pi`, `usb` and `virtual` satisfy them.

May import ground modules and `devices.conversion`; libcamera only inside the capture worker's own process.
"""

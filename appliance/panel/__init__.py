"""The page on the device: Flask, in a process of its own, a client of the control socket.

It opens no device and knows no room. It may import the ground and `surfaces.control_messages`, nothing else of ours.
"""

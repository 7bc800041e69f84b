"""The embedded media engine: forwards RTP and data between the participants of a room over one UDP port.

It decodes nothing and knows nothing of tokens, names or callbacks. May import the ground, aiortc and pylibsrtp.
"""

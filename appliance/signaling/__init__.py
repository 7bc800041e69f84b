"""The wire between a room's members and the rooms service, spoken by client and rooms alike.

No I/O and no clock of its own: what arrived and the time are handed in, what to send is asked for.
May import the ground modules and nothing else.
"""

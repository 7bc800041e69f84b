"""The hardware: small protocols, each with a real and a virtual implementation, one file each.

May import ground modules only. A driver is imported only by the file named after it.
"""

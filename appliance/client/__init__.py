"""The SDK: the objects people hold (Room, Participant, Publication, Track) and what moves their media.

The Video Client SDK's object model in snake_case; start with `appliance.client.connect.connect`.
May import: ground modules and `signaling`; never `devices`, `sfu`, `kiosk`, `rooms`.
"""

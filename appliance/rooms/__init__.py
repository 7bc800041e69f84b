"""The rooms service: who is in which room, publishes what and receives what; its REST API, events and guest page.

It decides; a media engine behind `appliance.media_engine` moves the media. May import ground and `appliance.signaling`.
"""

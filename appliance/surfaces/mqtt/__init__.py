"""The kiosk on an MQTT broker: topics (pure), the bridge, and the durable outbox of its events.

May import ground and `appliance.kiosk`.
"""

"""Where people and machines meet the kiosk: control socket, front panel, MQTT, service manager. They only translate.

May import ground and `appliance.kiosk`, `appliance.devices`; `control_messages` ground alone, since the panel reads it.
"""

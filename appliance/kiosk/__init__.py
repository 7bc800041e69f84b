"""The mind of the kiosk: what it is, what it is asked, what it decides, and the stage that does it.

Deciding is pure (state, inputs, effects, policy, machine, issues, line, scenes, tiles); runner and stage act.
May import ground, `appliance.client` and `appliance.devices`.
"""

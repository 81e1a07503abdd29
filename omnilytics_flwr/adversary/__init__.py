"""Data owners that misbehave, for simulations and tests: what they send, and how they break the protocol.

`registry` names every attack; `updates` and `colluding` hold those on an update, `labels` the one on data, `vectors` those on a masked vector,
`rogues` and `forgers` the owner agents that misbehave; `adversary_mod` puts an attack into a Flower client app.

It needs nothing but the attacker's own data, keys and journal: whoever runs a data owner could do the same.
"""

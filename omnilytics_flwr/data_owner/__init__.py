"""The data owner's side, without Flower: home, keys, journal, policy and the agent that uses them."""

"""A shop that doesn't exist, with purchases that are real: the main job from history to inbox.

`history` loads the Complete Journey purchases, `people` makes who bought them from a seed, `shop` the sender, the
notices and the operators; `story` sends a Diwali campaign while people say no and a worker is killed; `verdict`
computes from inbox and database whether every promise held. Development and demonstration only: nothing imports it.
"""

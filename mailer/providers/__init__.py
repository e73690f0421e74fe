"""What carries a message out of the house, behind one small interface.

`base` holds the interface and its words; every other module is one carrier.
A provider never raises for its own trouble and never tries a message twice: it says what it knows, as an outcome.
It knows nothing of consent; only `mailer.delivery` may call it, with the gate passed and the locks held.
Start with `base.py`, then `memory.py`, the honest double that the tests and the fault runs use.
"""

"""What runs askfirst: the command line, the supervisor, the embedded engines, Dramatiq's actors and the clock.

Only in here are Dramatiq and Redis imported, and only from here are processes started. No rule lives here: an
actor is one line that calls into `campaigns` or `mailer`. Start with `workers/up.py`.
"""

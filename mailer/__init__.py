"""One person and one message: who they are, what they agreed to, may this leave, send it, what came back.

Start with `mailer/delivery.py`: the whole promise on one screen. Nothing in here knows about audiences or
schedules (that is `campaigns`), and nothing in here imports Dramatiq or Redis: below `workers` the database
is the outbox. Flask is imported only in `mailer/web`.
"""

"""The embedded engines: a real PostgreSQL and a real Valkey from wheels, in one data folder, on sockets of our own.

Each engine knows how to be made, started, looked at and stopped; in which order is `workers/up.py`'s business.
Nothing in here changes the permissions of a folder that we did not make. Start with `workers/engines/postgres.py`.
"""

"""What parametrises askfirst: settings from the environment, keys from one root, structured logs.

Nothing in here connects to anything, opens a file or imports an I/O library, and nobody else reads `os.environ`.
Start with `config/settings.py`.
"""

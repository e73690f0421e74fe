"""The commands of `askfirst`, one module each, found by name: a module has one click command called `command`.

A command reads its arguments, calls one function and prints what it says. Settings come by `@click.pass_obj`. Those
that need the database open it with `workers.installation.reachable(settings)`.
"""

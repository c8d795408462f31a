"""Pages for a browser: the runs of a project, and each run. They are files; `api.v1` answers what
they ask.

`vendor/` holds libraries of others as they are published (`vendor/lock.json`), `app/` our own
modules. Nothing is built: a browser loads these files.
"""

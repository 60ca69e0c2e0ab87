"""Beside whom are the doors measured, and what is the yardstick?

    bare_websockets  fan-out: a `websockets` server that sends on what it gets
    bare_query       REST: the row as a prepared statement, with no server in between
    bare_files       storage: a Starlette application that keeps a body in a file
    nginx            storage: nginx, where it is installed

The peers of the queue are in `bench.contestants`: they have the same acts as Tintype's own.
"""

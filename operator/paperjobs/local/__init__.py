"""The laptop's cluster: the same engine, with a process for each run, an embedded Valkey and stand-ins.

Imported by every child through its leash, so it imports nothing.
"""

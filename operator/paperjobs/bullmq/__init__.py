"""The JobQueue port on Redis: BullMQ's own scripts for BullMQ's state, ours (`lua/`) for the window and the claims.

`jobqueue.py` is the adapter; `retry.py` decides what BullMQ's attempts and backoff mean for a failed run.
"""

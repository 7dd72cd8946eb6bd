"""The engine: one level-triggered loop per queue. Start reading at `loop.py`."""

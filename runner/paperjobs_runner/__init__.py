"""The runner: executes one claimed job in a process of its own and ends with a documented exit code.

`contract.py` is all that the operator knows of it; `pipelines/` holds one file for each pipeline.
"""

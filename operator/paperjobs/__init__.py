"""PaperJobs: runs BullMQ jobs about arXiv papers as Kubernetes Jobs, under strict limits.

The way through the code: `engine/loop.py` draws the pipeline; `bullmq/` and `kube/` (or `local/`) are its two ends;
`cli.py` is where every process starts.
"""

"""Loopback HTTP servers that speak the real protocols of arXiv, Adobe PDF Services, Anthropic, Asana and S3.

Local mode uses them for every service whose key is not set, and the tests drive them through the real SDKs. None of
them holds a canned result: arXiv serves the sample papers in `papers`, Adobe extracts the text of the PDF it is given,
Claude reads the text in the prompt by rules, Asana and S3 keep what they are sent. A wrong pipeline therefore gets a
wrong answer.

    from paperjobs_standins.server import Standins
    with Standins() as standins:
        env = standins.env()
"""

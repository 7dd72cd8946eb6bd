"""Finds the institutions of a paper's authors: link → metadata → PDF → text → Claude → checked → stored."""

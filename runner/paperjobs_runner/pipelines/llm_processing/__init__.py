"""A structured abstract of the whole paper, written by Claude."""

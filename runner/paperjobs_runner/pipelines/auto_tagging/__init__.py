"""Files a paper under arXiv's categories and tags of the vocabulary: metadata → text → Claude → checked → stored."""

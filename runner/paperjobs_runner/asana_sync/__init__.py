"""One Asana task for each paper: what it says, when it is written, and what becomes of failures."""

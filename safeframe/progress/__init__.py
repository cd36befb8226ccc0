"""How far a computation is, for who waits for it: in a terminal, in a notebook, or as lines of text."""

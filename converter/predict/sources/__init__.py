"""Data cut into portions, read in order and never held whole: one adapter a kind of file."""

"""Small environments with other versions of the runtimes, in which variants are tried."""

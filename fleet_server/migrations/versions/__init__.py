"""One module a revision; a published one never changes."""

"""What stays of a run: candidate, model card, lineage, tracking."""

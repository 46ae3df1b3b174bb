"""Pages with plots for people: data and evaluation."""

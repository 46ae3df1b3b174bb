"""What is measured of a variant, and the gates, targets and front by which it is judged."""

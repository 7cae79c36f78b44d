"""The search: what was asked for, the loop over candidates, and the run folder they end in."""

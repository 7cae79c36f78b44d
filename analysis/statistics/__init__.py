"""Statistics of searches: arrays in; small frozen results with estimate, interval and assumptions out. At 95 %."""

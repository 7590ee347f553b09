"""Other authors' networks and rules, which the benchmarks compare ours with."""

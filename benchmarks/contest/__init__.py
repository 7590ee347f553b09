"""Networks that are trained on the same photos with the same CPU time, ours and other authors'."""

"""Parts of `reliability.py`: kills, mutated input, two runs in one folder, and full disks."""

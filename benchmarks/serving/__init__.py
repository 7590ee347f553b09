"""Parts of `serving.py`: requests, and the clients that send them."""

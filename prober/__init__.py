"""A load generator that tells the fate of every request: `python3 -m prober --url http://localhost:8000 --rate 100`."""

"""Figures taken side by side on one machine in one run; `python3 -m bench` writes them to bench/RESULTS.md."""

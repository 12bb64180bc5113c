"""A page on loopback that shows running optimizations, and stops or pauses them.

It reads journals and ledgers, so that it can come and go while a run goes on.
"""

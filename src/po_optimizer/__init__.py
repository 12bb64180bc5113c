"""Optimizes DSPy programs with Kedro, stores them whole and measures them honestly."""

__version__ = "0.1.0"

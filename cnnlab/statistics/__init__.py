"""Uncertainty of what several seeds measured."""

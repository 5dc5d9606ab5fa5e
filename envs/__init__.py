"""Environments with distracting dimensions."""

"""Multipliers made for the network: walks over circuits that save gates and lose little
accuracy.
"""

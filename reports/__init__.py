"""Plots, tables and the HTML report of a search."""

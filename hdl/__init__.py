"""Multipliers: what one is, its circuit, its product table, its error and what it costs."""

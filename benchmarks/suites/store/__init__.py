"""Stores: what keeping values in Redis costs."""

"""Graphs, triggers and search spaces. Pure."""

"""Engines that execute the graphs; they know nothing about what a graph does."""

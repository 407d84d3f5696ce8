"""Flink on this machine: its jars, a small cluster of its own, and the program that starts Python workers."""

"""Graphs of transforms; what runs them is none of their business."""

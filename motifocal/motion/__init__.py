"""Optical flow and motion heatmaps of video frames."""

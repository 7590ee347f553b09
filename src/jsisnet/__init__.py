"""Panoptic segmentation with one network."""

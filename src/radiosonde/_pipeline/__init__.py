"""Composition root of the host packages."""

"""Conditional UniMat diffusion: crystals written on the periodic table, generated for a given composition."""

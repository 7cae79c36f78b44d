"""xtalseek: propose, relax and rank crystal structures for a composition, and measure what finds them first."""

__version__ = "0.1.0"

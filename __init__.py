"""xtalseek: propose, relax and rank crystal structures for a composition, and measure what finds them first.

The public interface is `xtalseek.api`, and `xtalseek.testing` for authors of plug-ins.
"""

__version__ = "0.1.0"

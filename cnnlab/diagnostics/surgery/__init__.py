"""Surgery: other operators at the places where any JAX function thins its maps."""

from cnnlab.diagnostics.surgery.downsampling import downsampling_effects
from cnnlab.diagnostics.surgery.shapley import Effects, effects
from cnnlab.diagnostics.surgery.site import Site
from cnnlab.diagnostics.surgery.swapping import sites, swap_downsampling

__all__ = [
    "Effects",
    "Site",
    "downsampling_effects",
    "effects",
    "sites",
    "swap_downsampling",
]

"""Surgery: other operators at the places where any JAX function thins its maps."""

from cnnlab.diagnostics.surgery.downsampling import downsampling_effects
from cnnlab.diagnostics.surgery.following import Following
from cnnlab.diagnostics.surgery.sampling import SamplingEffects, sampling_effects
from cnnlab.diagnostics.surgery.shapley import Effects, effects
from cnnlab.diagnostics.surgery.site import Site
from cnnlab.diagnostics.surgery.swapping import sites, swap_downsampling

__all__ = [
    "Effects",
    "Following",
    "SamplingEffects",
    "Site",
    "downsampling_effects",
    "effects",
    "sampling_effects",
    "sites",
    "swap_downsampling",
]

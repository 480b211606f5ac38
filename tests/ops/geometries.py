"""Windows and maps that several operators are tried on, and options of the pools."""

from cnnlab.ops.conformance.cases import Case, signed_map, smooth_map

__all__ = ["CASES", "SPECS", "TRIAL", "Case", "signed_map", "smooth_map"]

_CASES = {
    "overlapping": Case((2, 7, 6, 3), (3, 3), (2, 2), "SAME"),
    "gaps": Case((2, 9, 8, 2), (2, 2), (3, 4)),
    "defaults": Case((1, 5, 4, 2), 2),
    "asymmetric": Case((2, 6, 5, 2), (3, 2), (2, 1), ((2, 0), (0, 1))),
    "full": Case((1, 4, 3, 2), (3, 3), (1, 2), "FULL"),
    "circular": Case((1, 5, 6, 2), (3, 3), 2, ((1, 2), (2, 1)), "circular"),
    "reflect": Case((1, 5, 6, 2), (3, 3), 2, ((1, 2), (2, 1)), "reflect"),
    "edge": Case((1, 5, 6, 2), (3, 3), 2, ((1, 2), (2, 1)), "edge"),
    "one_axis": Case((2, 9, 3), (3,), (2,), 1),
    "three_axes": Case((1, 3, 4, 5, 2), (2, 2, 2), (2, 1, 2), "SAME"),
    "one_pixel": Case((1, 1, 1, 3), (3, 3), 2, "SAME"),
    "one_pixel_reflected": Case((1, 1, 1, 3), (3, 3), 2, "SAME", "reflect"),
    "no_batch": Case((5, 5, 2), (2, 3), 2, 1),
    "three_batch_axes": Case((2, 1, 2, 4, 4, 2), 2, 2),
}
CASES = {
    name: case._replace(boundary=case.boundary or "zero")
    for name, case in _CASES.items()
}

# Overlap, padding, odd sizes.
TRIAL = Case((2, 5, 4, 2), (3, 2), (2, 1), "SAME", "zero")

# Options beyond the defaults, for the pools that have any.
SPECS = (
    "adaptive_blur_pool(count_include_pad=False)",
    "avg_blur_pool(filter_size=4, count_include_pad=False)",
    "blur_pool(count_include_pad=False)",
    "max_blur_pool(filter_size=2)",
    "avg_pool(count_include_pad=False)",
    "lp_pool(p=1)",
    "lp_pool(p=1.5, count_include_pad=False)",
    "lp_pool(p=3.0, normalize=False)",
    "l2_pool(count_include_pad=False)",
    "l2_pool(normalize=False)",
    "soft_pool(beta=0.1)",
    "soft_pool(beta=3.0)",
    "log_sum_exp_pool(r=0.1)",
    "log_sum_exp_pool(r=4.0)",
    "log_sum_exp_pool(normalize=False)",
    "mixed_pool(alpha=0.25, count_include_pad=False)",
    "gated_pool(gating_mask=0.5)",
    "gated_pool(gating_mask=-1, count_include_pad=False)",
    "fractional_max_pool(ratio=1.8)",
    "fractional_max_pool(ratio=1.2, pseudo_random=False)",
    "lip_pool(projection=0.5, bias=-1)",
)

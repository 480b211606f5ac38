"""The errors that the paper printed, and how each of them came to be known here.

Springenberg, Dosovitskiy, Brox and Riedmiller, 2014, "Striving for simplicity: the all
convolutional net", table 3: on CIFAR-10, without augmentation, by a net trained on
images whitened and normalised in contrast, at the best of the rates 0.25, 0.1, 0.05 and
0.01. https://arxiv.org/abs/1412.6806
"""

ERRORS = {
    "base_a": 0.1247,
    "strided_a": 0.1346,
    "conv_pool_a": 0.1021,
    "all_cnn_a": 0.1030,
    "base_b": 0.1020,
    "strided_b": 0.1098,
    "conv_pool_b": 0.0933,
    "all_cnn_b": 0.0910,
    "base_c": 0.0974,
    "strided_c": 0.1019,
    "conv_pool_c": 0.0931,
    "all_cnn_c": 0.0908,
}

SECOND_HAND = "base_a", "base_c", "strided_c", "conv_pool_c", "all_cnn_c"
"""Those that others quote; the rest are from memory."""

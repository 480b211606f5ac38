"""What a trained network does when its images change.

Functions of any `predict(images) -> logits`, JAX or not.
"""

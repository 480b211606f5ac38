"""What a network costs and sees, and what it does when its images change.

Functions of any `predict(images) -> logits`, JAX or not; `cost` takes any function that
JAX can trace.
"""

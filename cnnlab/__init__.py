"""Convolutional networks in JAX, and what they do to position.

Import the room you need: `cnnlab.ops`, `cnnlab.layers`, `cnnlab.models`,
`cnnlab.data`, `cnnlab.training`, `cnnlab.diagnostics`, `cnnlab.statistics`,
`cnnlab.reporting`. Importing `cnnlab` alone loads none of them.
"""

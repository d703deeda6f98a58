"""One picture after the other in JAX, as one writes it without this project: float32, a jitted step, Adam by hand."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from numpy.typing import ArrayLike

Parameters = list[tuple[Array, Array]]


def features_of(B: Array, height: int, width: int) -> Array:
    """Sines and cosines `(height, width, 2 m)` of a picture's pixels, x first."""
    y, x = jnp.meshgrid(jnp.arange(height) / height, jnp.arange(width) / width, indexing="ij")
    phases = 2 * math.pi * jnp.stack([x, y], axis=-1) @ B.T
    return jnp.concatenate([jnp.sin(phases), jnp.cos(phases)], axis=-1)


@jax.jit
def shown_by(parameters: Parameters, features: Array) -> Array:
    hidden = features
    for weight, bias in parameters[:-1]:
        hidden = jax.nn.relu(hidden @ weight + bias)
    weight, bias = parameters[-1]
    return jax.nn.sigmoid(hidden @ weight + bias)


@jax.value_and_grad
def loss_of(parameters: Parameters, inputs: Array, targets: Array) -> Array:
    return 0.5 * jnp.mean(jnp.square(shown_by(parameters, inputs) - targets))


@partial(jax.jit, donate_argnums=0)
def updated(state: Any, step: Array, inputs: Array, targets: Array, learning_rate: float) -> Any:
    """Parameters, means and squares after one step of Adam."""
    parameters, means, squares = state
    _, gradients = loss_of(parameters, inputs, targets)
    means = jax.tree.map(lambda mean, gradient: 0.9 * mean + 0.1 * gradient, means, gradients)
    squares = jax.tree.map(lambda square, gradient: 0.999 * square + 0.001 * gradient**2, squares, gradients)

    def moved(parameter: Array, mean: Array, square: Array) -> Array:
        mean, square = mean / (1 - 0.9**step), square / (1 - 0.999**step)
        return parameter - learning_rate * mean / (jnp.sqrt(square) + 1e-8)

    return jax.tree.map(moved, parameters, means, squares), means, squares


def fit(
    picture: ArrayLike,
    B: ArrayLike,
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    steps: int,
    learning_rate: float,
) -> Array:
    """The picture `(H, W, 3)` that the network shows after training on every second pixel."""
    true = jnp.asarray(picture)
    features = features_of(jnp.asarray(B), *true.shape[:2])
    inputs, targets = features[::2, ::2].reshape(-1, features.shape[-1]), true[::2, ::2].reshape(-1, 3)
    parameters = [(jnp.array(weight), jnp.array(bias)) for weight, bias in zip(weights, biases, strict=True)]
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = (parameters, zeros, jax.tree.map(jnp.zeros_like, parameters))
    for step in range(1, steps + 1):
        state = updated(state, jnp.float32(step), inputs, targets, learning_rate)
    return shown_by(state[0], features).block_until_ready()

"""The multilayer perceptron, and its linearisation as a few matrix products."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mbrl_taskmet.networks import JacobianProducts, Rows

HIDDEN_GAIN = 2**0.5
"""Singular values of orthogonal initial weights below rectified linear units."""

LAST_GAIN = 0.01
"""Of those in the last layer, so that outputs begin near zero."""


@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron with rectified linear units.

    Each layer is one matrix of shape (fan_in + 1, fan_out) whose last row is the bias. Leading
    dimensions of the parameters make an ensemble: parameters (J, P) and inputs (B, inputs) give
    outputs (J, B, outputs).

    Attributes:
        sizes: number of inputs, of each hidden layer's units, and of outputs.
        input_scale: of the first layer's initial weights, its biases apart. Small, no input has a
            say before something is learned of it.
        ortho_init: whether weights begin orthogonal, scaled by `HIDDEN_GAIN` and `LAST_GAIN`, and
            biases at zero, as in OMD's public code.

    Raises:
        ValueError: if there are fewer than two sizes, or one that is not positive.
    """

    sizes: tuple[int, ...]
    input_scale: float = 1.0
    ortho_init: bool = False

    def __post_init__(self) -> None:
        if len(self.sizes) < 2 or any(size < 1 for size in self.sizes):
            raise ValueError(
                f"An MLP needs positive sizes of its inputs, hidden layers and outputs, "
                f"such as (6, 32, 32, 4); got {self.sizes}."
            )

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """The shape of each layer's matrix, (fan_in + 1, fan_out)."""
        return tuple((i + 1, o) for i, o in zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def num_parameters(self) -> int:
        """P, the number of weights and biases."""
        return sum(i * o for i, o in self.shapes)

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw weights and biases uniformly in ±1/√fan_in, as torch does, or orthogonally."""
        draw = self._orthogonal if self.ortho_init else self._uniform
        layers = draw(generator, dtype)
        layers[0][:-1] *= self.input_scale
        return torch.cat([layer.flatten() for layer in layers])

    def _uniform(self, generator: torch.Generator, dtype: torch.dtype) -> list[Tensor]:
        return [
            (2 * torch.rand(shape, generator=generator, dtype=dtype) - 1) / (shape[0] - 1) ** 0.5
            for shape in self.shapes
        ]

    def _orthogonal(self, generator: torch.Generator, dtype: torch.dtype) -> list[Tensor]:
        layers = [torch.zeros(shape, dtype=dtype) for shape in self.shapes]
        for layer in layers:
            gain = LAST_GAIN if layer is layers[-1] else HIDDEN_GAIN
            nn.init.orthogonal_(layer[:-1], gain, generator)
        return layers

    def matrices(self, parameters: Tensor) -> tuple[Tensor, ...]:
        """Views of the parameters as matrices: (…, P) → (…, fan_in + 1, fan_out) each."""
        return _views(parameters, self.shapes)

    def layers(self, parameters: Tensor) -> list["Layer"]:
        """The same views with weights and biases apart, all by one split."""
        views = _views(parameters, [part for i, o in self.shapes for part in ((i - 1, o), (1, o))])
        return [Layer(*layer) for layer in zip(views[::2], views[1::2], strict=True)]

    def __call__(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """Outputs at the inputs: (…, P), (…, B, inputs) → (…, B, outputs)."""
        return self.linearize(parameters, inputs).outputs

    def linearize(self, parameters: Tensor, inputs: Tensor) -> "MLPLinearization":
        """Evaluate the network and keep its activations."""
        return MLPLinearization(self, parameters, inputs)


class MLPLinearization(JacobianProducts):
    """The linearisation of an `MLP`: matrix products on cached activations.

    With aₗ the activations below layer l, Wₗ its weights, bₗ its biases and Mₗ the mask of the
    active units above it, forward mode is żₗ = aₗ Ẇₗ + ḃₗ + ȧₗ Wₗ, ȧₗ₊₁ = Mₗ ∘ żₗ, and reverse mode
    is dₗ₋₁ = (dₗ Wₗᵀ) ∘ Mₗ₋₁ with the gradients aₗᵀ dₗ of Wₗ and Σ_b dₗ of bₗ.
    """

    def __init__(self, network: MLP, parameters: Tensor, inputs: Tensor) -> None:
        self._network = network
        self._layers = network.layers(parameters)
        self._masks: list[Tensor] = []
        self._activations = [inputs]
        for layer in self._layers[:-1]:
            self._activations.append(torch.relu(layer(self._activations[-1])))
            # One or zero as numbers, since a product converts booleans anew each time.
            self._masks.append(torch.sign(self._activations[-1]))
        self.outputs = self._layers[-1](self._activations[-1])

    def jvp(self, tangent: Tensor) -> Tensor:
        """J u: (…, P) → (…, B, outputs)."""
        tangents = self._network.layers(tangent)
        above = tangents[-1](self._activations[-1])
        hidden = self._hidden_tangents(tangents)
        if hidden:
            above = above + hidden[-1] @ self._layers[-1].weights
        return above

    def vjp(self, cotangent: Tensor) -> Tensor:
        """Jᵀ c: (…, B, outputs) → (…, P)."""
        cotangents = self._cotangents(cotangent)
        return _flat(map(_layer_vjp, self._activations, cotangents))

    def input_vjp(self, cotangent: Tensor) -> Tensor:
        """(∂f/∂x)ᵀ c: (…, B, outputs) → (…, B, inputs)."""
        return self._cotangents(cotangent)[0] @ self._layers[0].weights.mT

    def summed_input_vjp(self, cotangent: Tensor) -> Tensor:
        """Σ_j (∂f_j/∂x)ᵀ c_j over an ensemble at one x: (J, B, outputs) → (B, inputs).

        With d_j the cotangents above the first layer W_j this is Σ_j d_j W_jᵀ, one product over
        the units of all members.
        """
        above = self._cotangents(cotangent)[0].movedim(0, 1).flatten(1)
        weights = self._layers[0].weights.movedim(0, 1).flatten(1)
        return above @ weights.mT

    def input_products(self, cotangent: Tensor) -> Tensor:
        """mean_b[x̄_jb ∘ x̄_kb] of all pairs of an ensemble: (J, B, outputs) → (J, J, inputs).

        x̄_j = (∂f_j/∂x)ᵀ c_j is W_j d_j with d_j the cotangents above the first layer W_j, and the
        sum over the batch the diagonal of W_j (d_jᵀ d_k) W_kᵀ: no work grows with the batch times
        the inputs.
        """
        above = self._cotangents(cotangent)[0]
        first = self._layers[0].weights
        members = range(len(above))
        sums = {
            (j, k): ((first[j] @ (above[j].mT @ above[k])) * first[k]).sum(-1)
            for j in members
            for k in members
            if j <= k
        }
        rows = [torch.stack([sums[min(j, k), max(j, k)] for k in members]) for j in members]
        return torch.stack(rows) / cotangent.shape[-2]

    def curvature_vjp(self, tangent: Tensor, cotangent: Tensor) -> Tensor:
        """∇_θ⟨c, J(θ) u⟩: the directional derivative of `vjp` with its cotangent held fixed."""
        if not self._masks:
            return torch.zeros_like(tangent)
        layer_tangents = self._network.layers(tangent)
        hidden_tangents = self._hidden_tangents(layer_tangents)
        cotangents = self._cotangents(cotangent)
        # That of the outputs stays as it is, so that the last bias feels nothing.
        gradients = [(hidden_tangents[-1].mT @ cotangent, torch.zeros_like(cotangent[..., :1, :]))]
        below = cotangent @ layer_tangents[-1].weights.mT
        for index in reversed(range(len(self._masks))):
            cotangent_dot = self._masks[index] * below
            gradient, bias_gradient = _layer_vjp(self._activations[index], cotangent_dot)
            if index > 0:
                gradient = gradient + hidden_tangents[index - 1].mT @ cotangents[index]
                below = (
                    cotangent_dot @ self._layers[index].weights.mT
                    + cotangents[index] @ layer_tangents[index].weights.mT
                )
            gradients.insert(0, (gradient, bias_gradient))
        return _flat(gradients)

    def gauss_newton(self, weigh: Rows) -> Callable[[Tensor], Tensor]:
        """The product u ↦ Jᵀ Λ J u without a tangent of the outputs' size.

        With ȧ the tangent below the last layer W and a its activations, J u = ȧ W + a U. Its
        product with Λ is only ever met as aᵀ(J u)Λ and (J u)ΛWᵀ, which fold Λ and the batch into
        the small matrices WΛWᵀ and aᵀa: no work grows with the batch times the outputs.
        """
        if len(self._layers) == 1:
            return super().gauss_newton(weigh)
        # With a one for the bias, so that the last layer is one matrix.
        activations = nn.functional.pad(self._activations[-1], (0, 1), value=1.0)
        last = self._layers[-1].weights
        last_weighed = weigh(last)
        between_units = last @ last_weighed.mT
        between_activations = activations.mT @ activations

        def product(tangent: Tensor) -> Tensor:
            hidden = self._hidden_tangents(self._network.layers(tangent))[-1]
            last_tangent = self._network.matrices(tangent)[-1]
            outer = activations.mT @ hidden @ last_weighed
            last_gradient = outer + between_activations @ weigh(last_tangent)
            below = hidden @ between_units + activations @ (last_tangent @ last_weighed.mT)
            cotangents = self._hidden_cotangents(below)
            gradients = map(_layer_vjp, self._activations, cotangents)
            return _flat([*gradients, (last_gradient,)])

        return product

    def _hidden_tangents(self, tangents: Sequence["Layer"]) -> list[Tensor]:
        """The tangent above each hidden layer, after its rectifier."""
        found: list[Tensor] = []
        for index, mask in enumerate(self._masks):
            above = tangents[index](self._activations[index])
            if found:
                above = above + found[-1] @ self._layers[index].weights
            found.append(above * mask)
        return found

    def _cotangents(self, cotangent: Tensor) -> list[Tensor]:
        """The cotangent above each layer, before its rectifier."""
        if len(self._layers) == 1:
            return [cotangent]
        below = cotangent @ self._layers[-1].weights.mT
        return [*self._hidden_cotangents(below), cotangent]

    def _hidden_cotangents(self, cotangent: Tensor) -> list[Tensor]:
        """The cotangent above each hidden layer, before its rectifier, from that below the last."""
        found = [cotangent * self._masks[-1]]
        for layer, mask in zip(self._layers[-2:0:-1], self._masks[-2::-1], strict=True):
            found.insert(0, (found[0] @ layer.weights.mT) * mask)
        return found


class Layer(NamedTuple):
    """A layer's matrix, split.

    The biases are added, rather than multiplied by a column of ones in the inputs: to append one
    copies all inputs into rows of odd length, an eighth of an update at 512 distractors.

    Attributes:
        weights: shape (…, fan_in, fan_out).
        biases: shape (…, 1, fan_out).
    """

    weights: Tensor
    biases: Tensor

    def __call__(self, inputs: Tensor) -> Tensor:
        """What it makes of its inputs: (…, B, fan_in) → (…, B, fan_out)."""
        return inputs @ self.weights + self.biases


def _views(parameters: Tensor, shapes: Sequence[tuple[int, int]]) -> tuple[Tensor, ...]:
    parts = torch.split(parameters, [i * o for i, o in shapes], -1)
    return tuple(p.view(*p.shape[:-1], *s) for p, s in zip(parts, shapes, strict=True))


def _layer_vjp(inputs: Tensor, cotangent: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients in a layer's weights and biases for the cotangent of what it makes."""
    return inputs.mT @ cotangent, cotangent.sum(-2, keepdim=True)


def _flat(gradients: Iterable[Sequence[Tensor]]) -> Tensor:
    return torch.cat([part.flatten(-2) for layer in gradients for part in layer], -1)

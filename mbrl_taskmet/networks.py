"""Networks on plain tensors, and their linearisations.

What the method asks of a network at a point is its `Linearization`: its outputs, the products of
its Jacobian with a tangent of the parameters and with a cotangent of the outputs, and what else
follows from them. `ModuleNetwork` gets it from `torch.func` for any `torch.nn.Module`; `MLP`
(`mlp.py`) has it as a few matrix products. The parameters of a network are one flat vector, so that
solvers and optimisers are plain linear algebra.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

Rows = Callable[[Tensor], Tensor]
"""A linear map applied to each row alike: (R, n) → (R, n)."""


class Linearization(Protocol):
    """A network f(θ, x) around one θ and one batch x; J is its Jacobian in θ."""

    @property
    def outputs(self) -> Tensor:
        """f(θ, x), shape (B, outputs)."""

    def jvp(self, tangent: Tensor) -> Tensor:
        """J u for a tangent u of the parameters: (P,) → (B, outputs)."""

    def vjp(self, cotangent: Tensor) -> Tensor:
        """Jᵀ c for a cotangent c of the outputs: (B, outputs) → (P,)."""

    def curvature_vjp(self, tangent: Tensor, cotangent: Tensor) -> Tensor:
        """∇_θ⟨c, J(θ) u⟩, the network's own curvature: (P,), (B, outputs) → (P,)."""

    def gauss_newton(self, weigh: Rows) -> Callable[[Tensor], Tensor]:
        """The product u ↦ Jᵀ Λ J u, (P,) → (P,), with `weigh` applying one Λ to each row."""


class Network(Protocol):
    """A function f(θ, x) of a flat parameter vector θ and a batch of inputs x."""

    @property
    def num_parameters(self) -> int:
        """P, the length of θ."""

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw θ, shape (P,)."""

    def __call__(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """f(θ, x): (P,), (B, inputs) → (B, outputs)."""

    def linearize(self, parameters: Tensor, inputs: Tensor) -> Linearization:
        """Evaluate f at (θ, x), ready for products with its Jacobian."""


class JacobianProducts:
    """A linearisation's Gauss-Newton product, by the two products that it has with J."""

    def gauss_newton(self: Linearization, weigh: Rows) -> Callable[[Tensor], Tensor]:
        """The product u ↦ Jᵀ Λ J u."""
        return lambda tangent: self.vjp(weigh(self.jvp(tangent)))


class FunctionLinearization(JacobianProducts):
    """The linearisation of any differentiable function, by `torch.func`."""

    def __init__(
        self, function: Callable[[Tensor, Tensor], Tensor], parameters: Tensor, inputs: Tensor
    ) -> None:
        self._function = lambda p: function(p, inputs)
        self._parameters = parameters
        linearized = torch.func.vjp(self._function, parameters)
        self.outputs: Tensor = linearized[0]
        self._pullback = linearized[1]

    def jvp(self, tangent: Tensor) -> Tensor:
        """J u, by forward-mode differentiation."""
        return self._jvp(self._parameters, tangent)

    def vjp(self, cotangent: Tensor) -> Tensor:
        """Jᵀ c, by reverse-mode differentiation."""
        gradient: Tensor = self._pullback(cotangent)[0]
        return gradient

    def curvature_vjp(self, tangent: Tensor, cotangent: Tensor) -> Tensor:
        """∇_θ⟨c, J(θ) u⟩, reverse mode over forward mode."""
        pullback = torch.func.vjp(lambda p: self._jvp(p, tangent), self._parameters)[1]
        gradient: Tensor = pullback(cotangent)[0]
        return gradient

    def _jvp(self, parameters: Tensor, tangent: Tensor) -> Tensor:
        product: Tensor = torch.func.jvp(self._function, (parameters,), (tangent,))[1]
        return product


class ModuleNetwork:
    """Any `torch.nn.Module` without buffers that change, as a `Network`.

    Args:
        module: maps (B, inputs) to (B, outputs). Its current parameters are what `init` returns.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._shapes = {name: p.shape for name, p in module.named_parameters()}

    @property
    def num_parameters(self) -> int:
        """P, the number of the module's parameters."""
        return sum(shape.numel() for shape in self._shapes.values())

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """The module's own parameters as one vector; the generator is not used."""
        parameters = [p.detach().flatten() for p in self._module.parameters()]
        return torch.cat(parameters).to(dtype)

    def __call__(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """The module applied to the inputs with these parameters."""
        sizes = [shape.numel() for shape in self._shapes.values()]
        values = torch.split(parameters, sizes)
        named = {n: v.view(s) for (n, s), v in zip(self._shapes.items(), values, strict=True)}
        outputs: Tensor = torch.func.functional_call(self._module, named, (inputs,))
        return outputs

    def linearize(self, parameters: Tensor, inputs: Tensor) -> FunctionLinearization:
        """Evaluate the module, ready for products with its Jacobian."""
        return FunctionLinearization(self, parameters, inputs)

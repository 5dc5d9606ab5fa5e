"""A compiler's pass: what a graph would compute twice, it computes once.

An equation is written where it belongs, and so is what it needs: the hypergradient linearises the
model that the critic's targets have linearised before, and each product with a Hessian goes
through the same network. The compiler fuses loops, but repeats such matrix products.
"""

from typing import Any

import torch
from torch._inductor.custom_graph_pass import CustomGraphPass, get_hash_for_files
from torch.fx import Graph, Node


class ShareCommonTerms(CustomGraphPass):
    """Replaces each call by an earlier one of the same function with the same arguments."""

    def __call__(self, graph: Graph) -> None:
        """Rewrite a graph of functional operations in place."""
        first: dict[tuple[Any, str, str], Node] = {}
        for node in graph.nodes:
            if not _is_determined_by_arguments(node):
                continue
            # By their representation, since 1, 1.0 and True are equal, and so are 0.0 and -0.0.
            call = node.target, repr(node.args), repr(sorted(node.kwargs.items()))
            original = first.setdefault(call, node)
            if original is not node:
                node.replace_all_uses_with(original)
                graph.erase_node(node)

    def uuid(self) -> Any:
        """Stands for this file in the key of the compiler's cache."""
        return get_hash_for_files((__file__,))


def _is_determined_by_arguments(node: Node) -> bool:
    if node.op != "call_function" or node.is_impure():
        return False
    return torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ())

"""Linear layers on an x86 processor: in fp32 by oneDNN, and under autocast to bf16 with weights that are rounded once.

torch multiplies matrices with MKL in fp32, and with oneDNN in bf16. MKL uses AVX-512 instructions on Intel's processors
only. oneDNN uses them on all processors that have them. On an AMD processor with AVX-512, products of fp32 by oneDNN
take less than half of MKL's time. On an AMD processor with AVX2 only, they take slightly less time than MKL's. The
results differ in the last digits, because oneDNN adds in another order. torch itself calls oneDNN's operator for fp32
in compiled models only.

Autocast rounds the weights of a layer at each call. The weights of a frozen layer do not change, so rounding them once
is enough.
"""

import platform

import torch
from torch.autograd.function import once_differentiable

HAS_ONEDNN = torch.backends.mkldnn.is_available() and platform.machine() in ("x86_64", "AMD64")


def linear_classes(model: torch.nn.Module) -> dict[torch.nn.Module, type]:
    """Return {module: OneDnnLinear} for the linear layers of a model; {} without oneDNN or an x86 processor."""
    return {module: OneDnnLinear for module in model.modules() if HAS_ONEDNN and type(module) is torch.nn.Linear}


class OneDnnLinear(torch.nn.Linear):
    """A linear layer that calls `linear`. Under autocast to bf16 on a CPU, a frozen layer keeps its rounded weights."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output, (..., out), for x, (..., in)."""
        if x.device.type == "cpu" and autocasts_to_bfloat16(x) and not self.weight.requires_grad:
            return torch.nn.functional.linear(x, in_bfloat16(self), self.bias)
        return linear(x, self.weight, self.bias)


def autocasts_to_bfloat16(x: torch.Tensor) -> bool:
    """Return whether autocast to bf16 is on for the device of x."""
    device = x.device.type
    return torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16


def in_bfloat16(layer: torch.nn.Linear) -> torch.Tensor:
    """Return the weights of a frozen layer in bf16. The layer keeps them until its own weights change.

    A change through `weight.data`, such as peft's merge, is not noticed: call `forget_bfloat16` after it.
    """
    weight, version, rounded = getattr(layer, "kept_bfloat16", (None, None, None))
    if weight is not layer.weight or version != weight._version:
        with torch.inference_mode(False):  # else a later backward pass could not use the copy
            rounded = layer.weight.detach().bfloat16()
        layer.kept_bfloat16 = layer.weight, layer.weight._version, rounded
    return rounded


def forget_bfloat16(layer: torch.nn.Module) -> None:
    """Remove the weights that `in_bfloat16` has kept."""
    vars(layer).pop("kept_bfloat16", None)


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Return x weight' + bias, (..., out), where the prime marks a transpose.

    torch computes what oneDNN's operator does not: other dtypes and devices, autocast, graphs that are exported, and an
    input without rows.

    Args:
        x: (..., in).
        weight: (out, in).
        bias: (out,) or None.
    """
    tensors = [x, weight] if bias is None else [x, weight, bias]
    on_cpu = all(tensor.dtype == torch.float32 and tensor.device.type == "cpu" for tensor in tensors)
    if not (HAS_ONEDNN and on_cpu and x.numel()) or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return torch.nn.functional.linear(x, weight, bias)
    needs_gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    product = OneDnnProduct.apply if needs_gradient else onednn_product
    return product(x.reshape(-1, x.shape[-1]), weight, bias).view(*x.shape[:-1], len(weight))


def onednn_product(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Return the result of `linear` for (rows, in) by oneDNN's operator."""
    return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")


class OneDnnProduct(torch.autograd.Function):
    """`onednn_product`, and its gradients with respect to rows, weight and bias."""

    @staticmethod
    def forward(ctx, rows, weight, bias):
        ctx.save_for_backward(rows if ctx.needs_input_grad[1] else None, weight)
        return onednn_product(rows, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        rows, weight = ctx.saved_tensors
        by_rows = onednn_product(gradient, weight.T, None) if ctx.needs_input_grad[0] else None
        by_weight = onednn_product(gradient.T, rows.T, None) if ctx.needs_input_grad[1] else None
        by_bias = gradient.sum(0) if ctx.needs_input_grad[2] else None
        return by_rows, by_weight, by_bias

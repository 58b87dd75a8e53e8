"""Linear layers on an x86 processor: by oneDNN's operator, and under autocast to bf16 with weights rounded only once.

In fp32 torch multiplies matrices with MKL, which uses AVX-512 instructions on Intel's processors only. oneDNN uses them
on all processors that have them. On an AMD processor with AVX-512, products of fp32 by oneDNN take less than half of
MKL's time. On an AMD processor with AVX2 only, they take slightly less time than MKL's. The results differ in the last
digits, because oneDNN adds in another order.

In bf16 torch multiplies with oneDNN, too, but first copies the bias into each row of the result. oneDNN's operator adds
the bias while it multiplies, and the result has the same bits.

Autocast rounds the weights of a layer at each call. The weights of a frozen layer do not change, so rounding them once
is enough.

torch itself calls oneDNN's operator in compiled models only.
"""

import platform

import torch
from torch.autograd.function import once_differentiable

HAS_ONEDNN = torch.backends.mkldnn.is_available() and platform.machine() in ("x86_64", "AMD64")
HAS_BF16 = HAS_ONEDNN and torch.ops.mkldnn._is_mkldnn_bf16_supported()  # else oneDNN's operator fails in bf16


def linear_classes(model: torch.nn.Module) -> dict[torch.nn.Module, type]:
    """Return {module: OneDnnLinear} for the linear layers of a model; {} without oneDNN or an x86 processor."""
    return {module: OneDnnLinear for module in model.modules() if HAS_ONEDNN and type(module) is torch.nn.Linear}


class OneDnnLinear(torch.nn.Linear):
    """A linear layer that calls `linear`. Under autocast to bf16 on a CPU, a frozen layer keeps its rounded weights."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output, (..., out), for x, (..., in)."""
        rounds = autocasts_to_bfloat16(x.device) and x.dtype in (torch.float32, torch.bfloat16)
        if rounds and x.device.type == "cpu" and not self.weight.requires_grad:
            return linear(x.bfloat16(), in_bfloat16(self), None if self.bias is None else self.bias.bfloat16())
        return linear(x, self.weight, self.bias)


def autocasts_to_bfloat16(device: torch.device) -> bool:
    """Return whether autocast to bf16 is on for this kind of device."""
    return torch.is_autocast_enabled(device.type) and torch.get_autocast_dtype(device.type) == torch.bfloat16


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

    oneDNN's operator does not compute other dtypes and devices, products of fp32 under autocast, graphs that are
    exported, and an input without rows. torch's own function computes these.

    Args:
        x: (..., in).
        weight: (out, in).
        bias: (out,) or None.
    """
    tensors = [x, weight] if bias is None else [x, weight, bias]
    if not onednn_multiplies(tensors):
        return torch.nn.functional.linear(x, weight, bias)
    needs_gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    product = OneDnnProduct.apply if needs_gradient else onednn_product
    return product(x.reshape(-1, x.shape[-1]), weight, bias).view(*x.shape[:-1], len(weight))


def onednn_multiplies(tensors: list[torch.Tensor]) -> bool:
    """Return whether `linear` computes these tensors (x, weight and perhaps bias) by oneDNN's operator."""
    dtypes = {tensor.dtype for tensor in tensors}
    in_fp32 = dtypes == {torch.float32} and not torch.is_autocast_enabled("cpu")
    known = HAS_ONEDNN and (in_fp32 or (HAS_BF16 and dtypes == {torch.bfloat16}))
    on_cpu = all(tensor.device.type == "cpu" for tensor in tensors)
    return known and on_cpu and tensors[0].numel() > 0 and not torch.compiler.is_compiling()


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

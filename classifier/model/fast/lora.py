"""LoRA's linear layer, x W' + b + s (x A') B', faster than peft's. A prime marks a transpose.

peft computes x W' + b and s (x A') B' separately and adds the two results.

In fp32 on a CPU the products with the narrow matrices A and B take long for the little that they compute. `FoldedLora`
adds s B A to the frozen weight W and multiplies once: x (W + s B A)' + b is the same function. The backward pass has
one product as large as the frozen layer's. W is frozen, so no gradient of W's size is needed. All products are computed
by `linear` of linear.py, except B A.

In bf16 the sum W + s B A would lose small weight changes to rounding, and products with narrow matrices are fast. A
layer of peft loses time in other ways: peft casts the input to fp32 and autocast casts it back to bf16, autocast rounds
W at each call, and scaling and adding are separate passes over memory. `SeparateLora` leaves the casts out and adds
within the products. On a CPU, W is rounded only once, and the product with W is `linear` of linear.py.
"""

import torch
from peft.tuners.lora import Linear
from torch.autograd.function import once_differentiable

from classifier.model.fast.linear import autocasts_to_bfloat16, forget_bfloat16, in_bfloat16, linear


def lora_classes(model: torch.nn.Module) -> dict[torch.nn.Module, type]:
    """Return {module: FastLinear} for peft's LoRA layers of a model; {} for a model that has none."""
    return {module: FastLinear for module in model.modules() if type(module) is Linear}


class FastLinear(Linear):
    """peft's LoRA layer, which uses `FoldedLora` in fp32 and `SeparateLora` under autocast to bf16.

    Everything but plain LoRA falls back to peft: see `product_function`.
    """

    def forward(self, x: torch.Tensor, *args, **kwargs) -> torch.Tensor:
        """Return the layer's output, (..., out), for x, (..., in)."""
        function = None if args or kwargs else self.product_function(x)
        if function is None:
            return super().forward(x, *args, **kwargs)
        (name,) = self.active_adapters
        base = self.get_base_layer()
        weight = in_bfloat16(base) if function is SeparateLora and x.device.type == "cpu" else base.weight
        return function.apply(
            x, weight, base.bias, self.lora_A[name].weight, self.lora_B[name].weight, self.scaling[name]
        )

    def merge(self, *args, **kwargs) -> None:
        """Add the adapter to the frozen weights, whose rounded copy is then out of date."""
        super().merge(*args, **kwargs)
        forget_bfloat16(self.get_base_layer())

    def unmerge(self) -> None:
        """Undo `merge`."""
        super().unmerge()
        forget_bfloat16(self.get_base_layer())

    def product_function(self, x: torch.Tensor) -> type[torch.autograd.Function] | None:
        """Return the function that computes this layer for x, or None if peft has to.

        peft computes layers with several adapters, with an adapter that is disabled or merged, with dropout, with a
        bias in the adapter, and with a variant of LoRA such as DoRA. peft also computes layers whose base weight is
        transposed, is trained or is not in fp32. `FoldedLora` takes inputs in fp32 without autocast, and `SeparateLora`
        takes inputs in fp32 or bf16 under autocast to bf16. peft computes all other inputs.
        """
        names, weight = self.active_adapters, self.get_base_layer().weight
        plain = (
            len(names) == 1
            and not (self.disable_adapters or self.merged or self.fan_in_fan_out or self.lora_bias[names[0]])
            and not weight.requires_grad
            and weight.dtype == torch.float32
            and names[0] not in self.lora_variant
            and isinstance(self.lora_dropout[names[0]], torch.nn.Identity)
        )
        if autocasts_to_bfloat16(x.device):
            return SeparateLora if plain and x.dtype in (torch.float32, torch.bfloat16) else None
        in_fp32 = x.dtype == torch.float32 and not torch.is_autocast_enabled(x.device.type)
        return FoldedLora if plain and in_fp32 else None


class FoldedLora(torch.autograd.Function):
    """x (W + s B A)' + b, and its gradients with respect to x, b, A and B.

    Shapes: x (..., in); W, frozen, (out, in); b (out,) or None; A (r, in); B (out, r); s a number. The result is
    (..., out). All are in one dtype.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, a, b, scaling):
        ctx.save_for_backward(x, weight, a, b)
        ctx.scaling = scaling
        return linear(x, torch.addmm(weight, b, a, alpha=scaling), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        x, weight, a, b = ctx.saved_tensors
        rows, gradient_rows = (tensor.reshape(-1, tensor.shape[-1]) for tensor in (x, gradient))
        by_x = linear(gradient, torch.addmm(weight, b, a, alpha=ctx.scaling).T) if ctx.needs_input_grad[0] else None
        by_a = linear(linear(gradient_rows, b.T).mul_(ctx.scaling).T, rows.T)
        # The transpose, gradient' (x A'), is the same product, but without oneDNN it takes six times as long.
        by_b = linear(linear(rows, a).mul_(ctx.scaling).T, gradient_rows.T).T
        by_bias = gradient_rows.sum(0) if ctx.needs_input_grad[2] else None
        return by_x, None, by_bias, by_a, by_b, None


class SeparateLora(torch.autograd.Function):
    """x W' + b + s (x A') B' with all products in bf16, and its gradients with respect to x, b, A and B.

    Arguments and shapes are those of `FoldedLora`. x and W are in fp32 or bf16, and b, A and B are in fp32. The result
    is in bf16. Each gradient has the dtype of its tensor.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, a, b, scaling):
        bf16 = [None if tensor is None else tensor.to(torch.bfloat16) for tensor in (x, weight, bias, a, b)]
        rows, weight, bias, a, b = bf16[0].flatten(0, -2), *bf16[1:]
        inner = rows @ a.T  # (rows, r)
        ctx.save_for_backward(rows, weight, a, b, inner)
        ctx.shape, ctx.dtype, ctx.scaling = x.shape, x.dtype, scaling
        output = linear(rows, weight, bias).addmm_(inner, b.T, alpha=scaling)
        return output.unflatten(0, x.shape[:-1])

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        rows, weight, a, b, inner = ctx.saved_tensors
        gradient = gradient.reshape(-1, gradient.shape[-1])
        by_inner = gradient @ b  # (rows, r), without the scaling
        by_x = None
        if ctx.needs_input_grad[0]:
            by_x = (gradient @ weight).addmm_(by_inner, a, alpha=ctx.scaling).view(ctx.shape).to(ctx.dtype)
        by_bias = gradient.sum(0, dtype=torch.float32) if ctx.needs_input_grad[2] else None
        by_a, by_b = by_inner.T @ rows, (inner.T @ gradient).T
        return by_x, None, by_bias, by_a.float().mul_(ctx.scaling), by_b.float().mul_(ctx.scaling), None

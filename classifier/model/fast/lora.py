"""LoRA's linear layer, faster than peft's, which multiplies the input by A and the result by B beside the frozen layer.

In fp32 the product of its matrices is added to the frozen weight, not to the layer's output: on a CPU those thin
products take long for what they do. x (W + s B A)' is the same function: one product as large as the frozen layer's
own, and one back; W is frozen, so no gradient of its size is needed.

In bf16 that sum would round small changes of the weight away, and thin products are fast. What takes long there is that
peft casts the layer's input to fp32, for autocast to cast it back, and adds up in passes of their own.
"""

import torch
from peft.tuners.lora import Linear
from torch.autograd.function import once_differentiable


def fast_lora(model: torch.nn.Module) -> None:
    """Let LoRA's linear layers of a model that peft has made compute their product this way."""
    for module in model.modules():
        if type(module) is Linear:
            module.__class__ = FastLinear


class FastLinear(Linear):
    """peft's layer, whose forward pass it takes over where that is plain LoRA in fp32, or under autocast to bf16."""

    def forward(self, x: torch.Tensor, *args, **kwargs) -> torch.Tensor:
        product = None if args or kwargs else self.product(x)
        if product is None:
            return super().forward(x, *args, **kwargs)
        (name,) = self.active_adapters
        base = self.get_base_layer()
        return product.apply(
            x, base.weight, base.bias, self.lora_A[name].weight, self.lora_B[name].weight, self.scaling[name]
        )

    def product(self, x: torch.Tensor) -> type[torch.autograd.Function] | None:
        """What computes this layer of x; None if it is not one adapter, in use, without dropout, bias or peft's
        variants of LoRA, on a frozen weight, in fp32 or under autocast to bf16.
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
        if not torch.is_autocast_enabled(x.device.type):
            return Folded if plain and x.dtype == torch.float32 else None
        bf16 = torch.get_autocast_dtype(x.device.type) == torch.bfloat16
        return Beside if plain and bf16 and x.dtype in (torch.float32, torch.bfloat16) else None


class Folded(torch.autograd.Function):
    """x (W + s B A)' + b, and its gradients by x, b, A and B; W is frozen.

    x: (..., in); W: (out, in); b: (out,) or None; A: (r, in); B: (out, r); s: a number. The result: (..., out).
    """

    @staticmethod
    def forward(ctx, x, weight, bias, a, b, scaling):
        ctx.save_for_backward(x, weight, a, b)
        ctx.scaling = scaling
        return torch.nn.functional.linear(x, torch.addmm(weight, b, a, alpha=scaling), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        x, weight, a, b = ctx.saved_tensors
        rows, gradient_rows = (tensor.reshape(-1, tensor.shape[-1]) for tensor in (x, gradient))
        by_x = gradient @ torch.addmm(weight, b, a, alpha=ctx.scaling) if ctx.needs_input_grad[0] else None
        by_a = (gradient_rows @ b).mul_(ctx.scaling).T @ rows
        # Not its transpose, gradient' (x A'), which is the same: MKL takes six times as long for that.
        by_b = ((rows @ a.T).mul_(ctx.scaling).T @ gradient_rows).T
        by_bias = gradient_rows.sum(0) if ctx.needs_input_grad[2] else None
        return by_x, None, by_bias, by_a, by_b, None


class Beside(torch.autograd.Function):
    """The same of the same arguments, multiplied in bf16, as the result is; each gradient has its tensor's type."""

    @staticmethod
    def forward(ctx, x, weight, bias, a, b, scaling):
        bf16 = [None if tensor is None else tensor.to(torch.bfloat16) for tensor in (x, weight, bias, a, b)]
        rows, weight, bias, a, b = bf16[0].flatten(0, -2), *bf16[1:]
        inner = (rows @ a.T).mul_(scaling)
        ctx.save_for_backward(rows, weight, a, b, inner)
        ctx.shape, ctx.dtype, ctx.scaling = x.shape, x.dtype, scaling
        return torch.nn.functional.linear(rows, weight, bias).addmm_(inner, b.T).unflatten(0, x.shape[:-1])

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        rows, weight, a, b, inner = ctx.saved_tensors
        gradient = gradient.reshape(-1, gradient.shape[-1])
        by_inner = (gradient @ b).mul_(ctx.scaling)
        by_x = None
        if ctx.needs_input_grad[0]:
            by_x = (gradient @ weight).addmm_(by_inner, a).view(ctx.shape).to(ctx.dtype)
        by_bias = gradient.sum(0, dtype=torch.float32) if ctx.needs_input_grad[2] else None
        return by_x, None, by_bias, (by_inner.T @ rows).float(), (inner.T @ gradient).T.float(), None

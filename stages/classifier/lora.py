"""LoRA's linear layer, faster: the product of its matrices is added to the frozen weight, not to the layer's output.

peft multiplies the input by A and the result by B, beside the frozen layer, and torch goes back the same way; on a CPU
these thin products take long for what they do. x (W + s B A)' is the same function: one product as large as the frozen
layer's own, and one back; W is frozen, so no gradient of its size is needed.
"""

import torch
from peft.tuners.lora import Linear
from torch.autograd.function import once_differentiable


def fold(model: torch.nn.Module) -> None:
    """Let LoRA's linear layers of a model that peft has made compute their product this way."""
    for module in model.modules():
        if type(module) is Linear:
            module.__class__ = FoldedLinear


class FoldedLinear(Linear):
    """peft's layer, whose forward pass it takes over where that is plain LoRA in fp32."""

    def forward(self, x: torch.Tensor, *args, **kwargs) -> torch.Tensor:
        if args or kwargs or not self.folds(x):
            return super().forward(x, *args, **kwargs)
        (name,) = self.active_adapters
        base = self.get_base_layer()
        return Folded.apply(
            x, base.weight, base.bias, self.lora_A[name].weight, self.lora_B[name].weight, self.scaling[name]
        )

    def folds(self, x: torch.Tensor) -> bool:
        """Whether the layer is what `Folded` computes: one adapter, in use, without dropout, bias or peft's variants of
        LoRA. Under autocast it is not: bf16 of the sum would round small changes of the weight away.
        """
        names = self.active_adapters
        return (
            len(names) == 1
            and not (self.disable_adapters or self.merged or self.fan_in_fan_out or self.lora_bias[names[0]])
            and not self.get_base_layer().weight.requires_grad
            and names[0] not in self.lora_variant
            and isinstance(self.lora_dropout[names[0]], torch.nn.Identity)
            and x.dtype == self.get_base_layer().weight.dtype == torch.float32
            and not torch.is_autocast_enabled(x.device.type)
        )


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

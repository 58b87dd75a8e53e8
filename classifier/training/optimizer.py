"""The optimizer of a training."""


def make_optimizer(model, learning_rate: float, weight_decay: float, loraplus_lr_ratio: float | None):
    """Return AdamW, or LoRA+ (Hayou et al. 2024) if a ratio is given.

    In AdamW, weight decay acts on matrices and not on vectors. Vectors are biases, norms, and two kinds of parameters
    that peft gives the shape (1, n) or (n, 1): IA3's factors and AdaLoRA's singular values. For LoRA+, peft forms the
    groups of parameters: weight decay acts on all but biases and layer norms, and only parameters of one dimension
    count as vectors.

    Args:
        model: The network. Its parameters that require gradients are optimized.
        learning_rate: The highest learning rate of the schedule.
        weight_decay: AdamW's weight decay.
        loraplus_lr_ratio: The ratio of LoRA+. The matrices B and, as in the authors' code, all vectors learn at this
            multiple of the learning rate. None: AdamW.
    """
    import torch

    # One kernel computes the whole update of a parameter.
    fused = {"fused": True} if model.device.type in ("cpu", "cuda") else {}
    if loraplus_lr_ratio:
        from peft.optimizers import create_loraplus_optimizer

        return create_loraplus_optimizer(
            model,
            torch.optim.AdamW,
            lr=learning_rate,
            loraplus_lr_ratio=loraplus_lr_ratio,
            loraplus_weight_decay=weight_decay,
            **fused,
        )
    matrices, vectors = [], []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_vector = parameter.ndim < 2 or "ia3_l" in name or "lora_E" in name
            (vectors if is_vector else matrices).append(parameter)
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, **fused)

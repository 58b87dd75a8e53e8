"""Attention in bf16 on a CPU as plain matrix products, where a gradient is needed.

torch's fused attention takes twice as long there, most of it in its backward pass. Where no gradient is needed, as in
scoring and in the layers below the first that is trained, torch's fused attention is faster. In other precisions and on
other devices it is always used.
"""

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

MATMUL_ATTENTION = "sdpa, in bf16 on a CPU by products"  # the name in transformers' table of implementations
# Attention scores computed at once: less than 32 MB in bf16. glibc returns a tensor of 32 MB to the system as soon as
# it is freed, and fetching the memory anew takes long.
SCORES_PER_PRODUCT = 2**24 - 1
# The most attention scores of a layer for which matrix products are used: 128 MB in bf16. The backward pass needs all
# scores at once, and their number grows with the square of the length.
MAX_SCORES = 2**26


def use_matmul_attention(model: PreTrainedModel) -> bool:
    """Set `attention_forward` as the attention of a model that uses torch's (sdpa); return whether it is set.

    A model with another attention implementation stays as it is.
    """
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(MATMUL_ATTENTION)
    return model.config._attn_implementation == MATMUL_ATTENTION


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    dropout: float,
    scaling: float,
) -> torch.Tensor:
    """Return dropout(softmax(scaling query key' + mask)) value, where the prime transposes the last two dimensions.

    If a gradient is needed on a CPU in bf16, and there are at most MAX_SCORES scores, the result comes from matrix
    products. Scores and softmax are then in bf16, as in the eager attention of transformers. In all other cases torch's
    fused attention computes the result.

    Args:
        query: (rows, heads, queries, head size).
        key: (rows, heads, tokens, head size).
        value: (rows, heads, tokens, head size).
        mask: (rows or 1, heads or 1, queries, tokens). A boolean mask is true where a query attends to a token; a mask
            of numbers is added to the scores. None lets each query attend to all tokens.
        dropout: Probability with which an attention weight, a result of the softmax, is dropped.
        scaling: Factor of the scores.

    Returns:
        (rows, heads, queries, head size), in the query's dtype.
    """
    scores_per_row = query.shape[1:3].numel() * key.shape[2]
    needs_gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (query, key, value))
    bf16_on_cpu = query.dtype == torch.bfloat16 and query.device.type == "cpu"
    if not (needs_gradient and bf16_on_cpu) or len(query) * scores_per_row > MAX_SCORES:
        return torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout, scale=scaling
        )
    rows = max(1, SCORES_PER_PRODUCT // scores_per_row)
    parts, attended = [tensor.split(rows) for tensor in (query, key, value)], []
    for start, (queries, keys, values) in zip(range(0, len(query), rows), zip(*parts, strict=True), strict=True):
        scores = (queries * scaling) @ keys.transpose(2, 3)
        if mask is not None:
            add_mask(scores, mask[start : start + rows] if len(mask) > 1 else mask)
        attended.append(torch.nn.functional.dropout(scores.softmax(-1), dropout) @ values)
    return attended[0] if len(attended) == 1 else torch.cat(attended)


def add_mask(scores: torch.Tensor, mask: torch.Tensor) -> None:
    """Add a mask to scores, (rows, heads, queries, tokens), in place. Shapes and meaning of the mask: as in `attend`.

    Texts of a batch have similar lengths, so only the last columns of a boolean mask have padding. The columns before
    the first one with a false value are left alone.
    """
    if mask.dtype != torch.bool:
        scores += mask
        return
    hidden = ~mask
    columns = hidden.flatten(0, -2).any(dim=0)
    if columns.any():
        first = int(columns.int().argmax())
        # detach: the softmax of such a score is 0, and so is the gradient, without an operation for it.
        scores.detach()[..., first:].masked_fill_(hidden[..., first:], -1e30)


def attend_by_heads(
    layer: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """Split an attention layer's projected queries, keys and values into heads; return the result of `attend`.

    Args:
        layer: The attention layer, for its head size and its dropout.
        query: (rows, queries, hidden).
        key: (rows, tokens, hidden).
        value: (rows, tokens, hidden).
        mask: As in `attend`.

    Returns:
        (rows, queries, hidden).
    """
    size, dropout = layer.attention_head_size, layer.dropout.p if layer.training else 0.0
    by_head = [projected.unflatten(-1, (-1, size)).transpose(1, 2) for projected in (query, key, value)]
    return attend(*by_head, mask, dropout, size**-0.5).transpose(1, 2).flatten(2)


def attention_forward(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs,
) -> tuple[torch.Tensor, None]:
    """Compute attention with the arguments and the result that transformers' table of implementations prescribes.

    Causal, cached, cross-, grouped-query, biased and soft-capped attention fall back to transformers' sdpa.

    Args:
        module: The attention layer that calls. A layer without the attribute `is_causal` counts as causal.
        query: (rows, heads, tokens, head size), like key and value.
        attention_mask: The `mask` of `attend`.
        dropout: As in `attend`.
        scaling: Factor of the scores. None: 1 / sqrt(head size).

    Returns:
        (rows, tokens, heads, head size), and None in the place of the attention weights.
    """
    special = any(kwargs.get(name) is not None for name in ("cache", "is_causal", "position_bias", "softcap"))
    if special or query.shape != key.shape or getattr(module, "is_causal", True):
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    attended = attend(query, key, value, attention_mask, dropout, scaling)
    return attended.transpose(1, 2).contiguous(), None


AttentionInterface.register(MATMUL_ATTENTION, attention_forward)
AttentionMaskInterface.register(MATMUL_ATTENTION, sdpa_mask)

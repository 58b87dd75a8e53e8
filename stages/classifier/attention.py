"""Attention in bf16 on a CPU, as plain products of matrices: torch's fused one takes twice as long there, most of it in
its backward pass. Elsewhere it is torch's.
"""

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sdpa, in bf16 on a CPU by products"  # among transformers' implementations
SCORES = 2**24  # at a time: 32 MB, above which glibc gives memory back at once, and fetching it anew takes long


def in_products(model: PreTrainedModel) -> None:
    """Let an encoder of transformers, if its attention is torch's, attend this way."""
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(NAME)


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    dropout: float,
    scaling: float,
) -> torch.Tensor:
    """(rows, heads, queries, size): softmax(query key' scaling) value. Its key and value: (rows, heads, tokens, size);
    mask: (rows, 1, queries, tokens), what is attended to, or what is added to the scores; None: all. dropout: of the
    softmax.
    """
    if query.dtype != torch.bfloat16 or query.device.type != "cpu":
        return torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout, scale=scaling
        )
    bias = mask
    if mask is not None and mask.dtype == torch.bool:
        bias = torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, -1e30)
    rows = max(1, SCORES // (query.shape[1] * query.shape[2] * key.shape[2]))
    parts = []
    for start in range(0, len(query), rows):
        part = slice(start, start + rows)
        scores = (query[part] * scaling) @ key[part].transpose(2, 3)
        if bias is not None:
            scores += bias[part]
        weights = torch.nn.functional.dropout(scores.softmax(-1), dropout)
        parts.append(weights @ value[part])
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def forward(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs,
) -> tuple[torch.Tensor, None]:
    """As transformers calls it; what is not an encoder's own attention, with its queries' keys, stays as it has it."""
    whole = query.shape == key.shape and not getattr(module, "is_causal", True)
    if not whole or kwargs.get("position_bias") is not None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    attended = attention(query, key, value, attention_mask, dropout, scaling)
    return attended.transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, forward)
AttentionMaskInterface.register(NAME, sdpa_mask)

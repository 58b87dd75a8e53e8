"""Attention in bf16 on a CPU, as plain products of matrices: torch's fused one takes twice as long there, most of it in
its backward pass. Elsewhere it is torch's.
"""

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sdpa, in bf16 on a CPU by products"  # among transformers' implementations
AT_ONCE = 2**23  # scores, 16 MB: tensors of 32 MB and more glibc gives back at once, and fetching them anew takes long
KEPT = 2**26  # scores of a layer, 128 MB: they are kept for the backward pass, and grow with the square of the length


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
    """(rows, heads, queries, size): softmax(query key' scaling) value, in bf16 of scores in bf16, as transformers' own
    products are.

    key, value: (rows, heads, tokens, size); mask: (rows or 1, heads or 1, queries, tokens), true where a query attends,
    or what is added to the scores; None: it attends to all. dropout: of the softmax.
    """
    each = query.shape[1:3].numel() * key.shape[2]  # scores of a row
    in_bf16 = query.dtype == torch.bfloat16 and query.device.type == "cpu" and len(query) * each <= KEPT
    if not in_bf16:
        return torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout, scale=scaling
        )
    bias = mask
    if mask is not None and mask.dtype == torch.bool:
        bias = torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, -1e30)
    parts, rows = [], max(1, AT_ONCE // each)
    for part in (slice(start, start + rows) for start in range(0, len(query), rows)):
        scores = (query[part] * scaling) @ key[part].transpose(2, 3)
        if bias is not None:
            scores += bias[part] if len(bias) > 1 else bias
        parts.append(torch.nn.functional.dropout(scores.softmax(-1), dropout) @ value[part])
    return torch.cat(parts)


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
    """As transformers calls it. Attention that is causal, has other keys than its own tokens', fewer heads of them, or
    a rule more, stays transformers' own.
    """
    more = any(kwargs.get(name) is not None for name in ("cache", "is_causal", "position_bias", "softcap"))
    if more or query.shape != key.shape or getattr(module, "is_causal", True):
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    attended = attention(query, key, value, attention_mask, dropout, scaling)
    return attended.transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, forward)
AttentionMaskInterface.register(NAME, sdpa_mask)

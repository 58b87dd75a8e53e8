"""MPNet's attention by torch's fused one, or in bf16 on a CPU as attention.py has it. Transformers has it as plain
products, to which each layer adds the bias of the tokens' distances and the mask.
"""

import torch
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder, MPNetForSequenceClassification, MPNetSelfAttention

from classifier.model.fast.attention import attention


def fused_attention(model: torch.nn.Module) -> None:
    """Let an MPNet attend this way; another model stays as it is."""
    if type(model) is not MPNetForSequenceClassification:
        return
    replacements = {MPNetEncoder: Encoder, MPNetSelfAttention: SelfAttention}
    for module in model.modules():
        module.__class__ = replacements.get(type(module), type(module))


class Encoder(MPNetEncoder):
    """Puts the bias into the mask, once for all layers."""

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs):
        mask = super().compute_position_bias(hidden_states[:1])  # (1, heads, tokens, tokens)
        if attention_mask is not None:
            mask = mask + attention_mask
        if torch.is_autocast_enabled(mask.device.type):
            dtype = torch.get_autocast_dtype(mask.device.type)
            mask = mask.to(dtype).clamp(min=torch.finfo(dtype).min)  # fp32's own would be -inf
        return super().forward(hidden_states, mask, **kwargs)

    def compute_position_bias(self, *args) -> None:
        """None beside the mask."""


class SelfAttention(MPNetSelfAttention):
    def forward(
        self, hidden_states: torch.Tensor, attention_mask=None, position_bias=None, output_attentions=False, **_
    ):
        if output_attentions:  # which the fused one does not give
            return super().forward(hidden_states, attention_mask, position_bias, output_attentions)
        by_head = [
            layer(hidden_states).unflatten(-1, (-1, self.attention_head_size)).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        ]
        dropout = self.dropout.p if self.training else 0.0
        attended = attention(*by_head, attention_mask, dropout, self.attention_head_size**-0.5)
        return (self.o(attended.transpose(1, 2).flatten(2)),)

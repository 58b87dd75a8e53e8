"""MPNet's attention through `attend`: torch's fused attention or, in a training in bf16 on a CPU, matrix products.

transformers computes MPNet's attention as plain products, and adds the bias of the tokens' distances and then the mask
to the scores of each layer.
"""

import torch
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder, MPNetForSequenceClassification, MPNetSelfAttention

from classifier.model.fast.attention import attend_by_heads


def mpnet_classes(model: torch.nn.Module) -> dict[torch.nn.Module, type]:
    """Return {module: class} for the encoder and the attention layers of an MPNet classifier; {} for other models."""
    if type(model) is not MPNetForSequenceClassification:
        return {}
    fused_classes = {MPNetEncoder: FusedMPNetEncoder, MPNetSelfAttention: FusedMPNetSelfAttention}
    return {module: fused_classes[type(module)] for module in model.modules() if type(module) in fused_classes}


class FusedMPNetEncoder(MPNetEncoder):
    """MPNet's encoder, which adds the bias of the tokens' distances to the mask once for all layers."""

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs):
        """Run all layers on hidden_states, (rows, tokens, hidden), with bias + mask as their mask.

        attention_mask: (rows, 1, 1 or tokens, tokens), added to the scores; None: no mask. Each layer's mask is
        (rows or 1, heads, tokens, tokens), under autocast in autocast's dtype, which fused attention requires.
        """
        mask = super().compute_position_bias(hidden_states[:1])  # (1, heads, tokens, tokens)
        if attention_mask is not None:
            mask = mask + attention_mask
        if torch.is_autocast_enabled(mask.device.type):
            dtype = torch.get_autocast_dtype(mask.device.type)
            mask = mask.to(dtype).clamp(min=torch.finfo(dtype).min)  # fp32's lowest number becomes -inf in bf16
        return super().forward(hidden_states, mask, **kwargs)

    def compute_position_bias(self, *args) -> None:
        """Return None, so that MPNetEncoder.forward passes the layers no bias beside the mask."""


class FusedMPNetSelfAttention(MPNetSelfAttention):
    """MPNet's attention layer, without the final residual and norm."""

    def forward(
        self, hidden_states: torch.Tensor, attention_mask=None, position_bias=None, output_attentions=False, **_
    ):
        """Return (dropout(softmax(Q K' / sqrt(head size) + mask)) V, projected,), of shape (rows, tokens, hidden).

        `position_bias` is ignored: FusedMPNetEncoder adds the bias to the mask. Fused attention does not return the
        attention weights, so with `output_attentions` the layer falls back to transformers' code, bias included.
        """
        if output_attentions:
            return super().forward(hidden_states, attention_mask, position_bias, output_attentions)
        projected = [layer(hidden_states) for layer in (self.q, self.k, self.v)]
        return (self.o(attend_by_heads(self, *projected, attention_mask)),)

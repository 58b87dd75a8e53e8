"""Modules that compute the last encoder layer for the first token alone.

The classification head reads the state of the first token only, and no encoder layer follows the last one. So in the
last layer the other tokens serve as keys and values only. Their queries, attention outputs and feed-forward are most of
the layer's arithmetic and have no influence on the logits. The modules leave this arithmetic out. The logits and all
gradients stay the same.
"""

import torch
from transformers.models.bert.modeling_bert import BertAttention, BertForSequenceClassification
from transformers.models.distilbert.modeling_distilbert import DistilBertForSequenceClassification, TransformerBlock
from transformers.models.mpnet.modeling_mpnet import MPNetAttention, MPNetForSequenceClassification
from transformers.models.roberta.modeling_roberta import RobertaAttention, RobertaForSequenceClassification

from classifier.model.fast.attention import MATMUL_ATTENTION, attend_by_heads


def first_token_classes(model: torch.nn.Module) -> dict[torch.nn.Module, type]:
    """Return the module to replace in the last encoder layer, and the class that computes the first token alone.

    Returns:
        {module: class} for a BERT, RoBERTa, DistilBERT or MPNet classifier whose attention is eager or sdpa. {} if
        the layer has the class already, if the attention is of another kind, if the model is a decoder, whose first
        token attends to itself alone, or if the classifier is of another family, whose head may read all tokens.
    """
    whole_class, first_token_class = {
        BertForSequenceClassification: (BertAttention, FirstTokenBertAttention),
        RobertaForSequenceClassification: (RobertaAttention, FirstTokenBertAttention),
        DistilBertForSequenceClassification: (TransformerBlock, FirstTokenDistilBertLayer),
        MPNetForSequenceClassification: (MPNetAttention, FirstTokenMPNetAttention),
    }.get(type(model), (None, None))
    if whole_class is None or getattr(model.config, "is_decoder", False):
        return {}
    if model.config._attn_implementation not in ("sdpa", MATMUL_ATTENTION, "eager"):
        return {}
    last = [module for module in model.modules() if type(module) in (whole_class, first_token_class)][-1]
    return {last: first_token_class} if type(last) is whole_class else {}


class FirstTokenBertAttention(BertAttention):
    """The attention of a BERT or RoBERTa layer for the first token. Both families compute attention in the same way.

    The layer's feed-forward then computes the first token alone, since the attention returns no other.
    """

    def forward(self, hidden_states, attention_mask=None, past_key_values=None, **kwargs):
        """Return the first token's state after attention, (rows, 1, hidden), and None for the attention weights.

        Prefix tuning passes learned keys and values as `past_key_values`. The attention then falls back to
        transformers' code for all tokens, of which the first one is taken.
        """
        layer = self.self
        if past_key_values is None:
            attended = attend_first_token(layer, layer.query, layer.key, layer.value, hidden_states, attention_mask)
        else:
            attended = layer(hidden_states, attention_mask, past_key_values, **kwargs)[0][:, :1]
        return self.output(attended, hidden_states[:, :1]), None


class FirstTokenDistilBertLayer(TransformerBlock):
    """A DistilBERT layer for the first token."""

    def forward(self, hidden_states, attention_mask=None, **kwargs):
        """Return the first token's state after attention and feed-forward, (rows, 1, hidden)."""
        layer = self.attention
        attended = attend_first_token(layer, layer.q_lin, layer.k_lin, layer.v_lin, hidden_states, attention_mask)
        first = self.sa_layer_norm(layer.out_lin(attended) + hidden_states[:, :1])
        return self.output_layer_norm(self.ffn(first) + first)


class FirstTokenMPNetAttention(MPNetAttention):
    """The attention of an MPNet layer for the first token. The layer's feed-forward follows as in BERT."""

    def forward(self, hidden_states, attention_mask=None, position_bias=None, **kwargs):
        """Return the first token's state after attention, (rows, 1, hidden), and None for the attention weights.

        The bias of the tokens' distances is part of `attention_mask` (see mpnet.py) or comes as `position_bias`.
        """
        layer = self.attn
        biases = [bias for bias in (attention_mask, position_bias) if bias is not None]
        mask = sum(biases) if biases else None
        attended = attend_first_token(layer, layer.q, layer.k, layer.v, hidden_states, mask)
        return self.LayerNorm(self.dropout(layer.o(attended)) + hidden_states[:, :1]), None


def attend_first_token(layer, query, key, value, hidden_states, mask: torch.Tensor | None) -> torch.Tensor:
    """Return dropout(softmax(q K' / sqrt(head size) + mask)) V, where q is the query of the first token.

    Args:
        layer: The attention layer, for its head size and its dropout.
        query: The linear layer (hidden to hidden) of the queries.
        key: The linear layer of the keys.
        value: The linear layer of the values.
        hidden_states: (rows, tokens, hidden).
        mask: (rows or 1, heads or 1, queries, tokens), as in `attend`; the first query is used. None: no mask.

    Returns:
        (rows, 1, hidden).
    """
    first_mask = None if mask is None else mask[..., :1, :]
    return attend_by_heads(layer, query(hidden_states[:, :1]), key(hidden_states), value(hidden_states), first_mask)

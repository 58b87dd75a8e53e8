"""The encoder's last layer for its first token alone: the head reads no other, and no layer comes after it.

The other tokens are keys and values there, and nothing more. Their own queries, outputs and feed-forward, most of that
layer's arithmetic, have no influence on the logits, which are the same without them, as are all gradients.
"""

import torch
from transformers.models.bert.modeling_bert import BertAttention, BertForSequenceClassification
from transformers.models.distilbert.modeling_distilbert import DistilBertForSequenceClassification, TransformerBlock
from transformers.models.mpnet.modeling_mpnet import MPNetAttention, MPNetForSequenceClassification
from transformers.models.roberta.modeling_roberta import RobertaAttention, RobertaForSequenceClassification

from classifier.model.fast.attention import NAME, attention


def first_token_only(model: torch.nn.Module) -> None:
    """Let the last layer of a BERT, RoBERTa, DistilBERT or MPNet compute its first token alone; another model stays as
    it is: its head may read the mean of all tokens. So does a decoder, whose first token sees no other, and one with an
    attention that is not the same as here.
    """
    if getattr(model.config, "is_decoder", False) or model.config._attn_implementation not in ("sdpa", NAME, "eager"):
        return
    whole, first = {
        BertForSequenceClassification: (BertAttention, FirstOfBert),
        RobertaForSequenceClassification: (RobertaAttention, FirstOfBert),
        DistilBertForSequenceClassification: (TransformerBlock, FirstOfDistilBert),
        MPNetForSequenceClassification: (MPNetAttention, FirstOfMPNet),
    }.get(type(model), (None, None))
    if whole:
        last = [module for module in model.modules() if type(module) is whole][-1]
        last.__class__ = first


class FirstOfBert(BertAttention):
    """The attention of BERT's layer, and of RoBERTa's, which is the same. The feed-forward follows what it returns."""

    def forward(self, hidden_states, attention_mask=None, past_key_values=None, **kwargs):
        layer = self.self
        if past_key_values is None:
            attended = of_first(layer, layer.query, layer.key, layer.value, hidden_states, attention_mask)
        else:  # prefix tuning's, which are keys and values beside those of the tokens
            attended = layer(hidden_states, attention_mask, past_key_values, **kwargs)[0][:, :1]
        return self.output(attended, hidden_states[:, :1]), None


class FirstOfDistilBert(TransformerBlock):
    """DistilBERT's whole layer."""

    def forward(self, hidden_states, attention_mask=None, **kwargs):
        layer = self.attention
        attended = of_first(layer, layer.q_lin, layer.k_lin, layer.v_lin, hidden_states, attention_mask)
        first = self.sa_layer_norm(layer.out_lin(attended) + hidden_states[:, :1])
        return self.output_layer_norm(self.ffn(first) + first)


class FirstOfMPNet(MPNetAttention):
    """As BERT's; what is added to the scores for the tokens' distances is part of the mask or stands beside it."""

    def forward(self, hidden_states, attention_mask=None, position_bias=None, **kwargs):
        layer, given = self.attn, [each for each in (attention_mask, position_bias) if each is not None]
        attended = of_first(layer, layer.q, layer.k, layer.v, hidden_states, sum(given) if given else None)
        return self.LayerNorm(self.dropout(layer.o(attended)) + hidden_states[:, :1]), None


def of_first(layer, query, key, value, states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """What the first token of `states`, (rows, tokens, hidden), attends to: (rows, 1, hidden).

    layer: whose size of a head and dropout hold; query, key, value: its linear layers; mask: (rows, 1 or heads, tokens,
    tokens), of which the first token's line counts.
    """
    by_head = [
        projected.unflatten(-1, (-1, layer.attention_head_size)).transpose(1, 2)
        for projected in (query(states[:, :1]), key(states), value(states))
    ]
    mask, dropout = None if mask is None else mask[..., :1, :], layer.dropout.p if layer.training else 0.0
    return attention(*by_head, mask, dropout, layer.attention_head_size**-0.5).transpose(1, 2).flatten(2)

"""Embeddings that return bf16 under autocast on a CPU, so that the sums and norms of the layers are in bf16, too.

Autocast runs matrix products in bf16, but leaves sums and LayerNorm in the dtype of their inputs. The embeddings are in
fp32. So transformers computes all sums and norms in fp32, and autocast rounds each result again for the next product.
With embeddings that are rounded once, all states between the layers are in bf16.
"""

import torch
from transformers.models.bert.modeling_bert import BertEmbeddings
from transformers.models.distilbert.modeling_distilbert import Embeddings
from transformers.models.mpnet.modeling_mpnet import MPNetEmbeddings
from transformers.models.roberta.modeling_roberta import RobertaEmbeddings

from classifier.model.fast.linear import autocasts_to_bfloat16


class Rounded:
    """The part of the classes below that rounds."""

    def forward(self, *args, **kwargs) -> torch.Tensor:
        """Return the embeddings, (rows, tokens, hidden): in bf16 under autocast to bf16 on a CPU, otherwise in fp32."""
        states = super().forward(*args, **kwargs)
        return states.bfloat16() if states.device.type == "cpu" and autocasts_to_bfloat16(states.device) else states


class RoundedBertEmbeddings(Rounded, BertEmbeddings):
    """BERT's embeddings, rounded."""


class RoundedDistilBertEmbeddings(Rounded, Embeddings):
    """DistilBERT's embeddings, rounded."""


class RoundedMPNetEmbeddings(Rounded, MPNetEmbeddings):
    """MPNet's embeddings, rounded."""


class RoundedRobertaEmbeddings(Rounded, RobertaEmbeddings):
    """RoBERTa's embeddings, rounded."""


ROUNDED = {
    BertEmbeddings: RoundedBertEmbeddings,
    Embeddings: RoundedDistilBertEmbeddings,
    MPNetEmbeddings: RoundedMPNetEmbeddings,
    RobertaEmbeddings: RoundedRobertaEmbeddings,
}


def rounding_classes(model: torch.nn.Module) -> dict[torch.nn.Module, type]:
    """Return {module: class} for the embeddings of a BERT, DistilBERT, MPNet or RoBERTa classifier, {} for others."""
    return {module: ROUNDED[type(module)] for module in model.modules() if type(module) in ROUNDED}

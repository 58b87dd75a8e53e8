"""Tiny random models: encoders of five families in models/base/, with tokenizers whose vocabularies are written by
hand, and a classifier in memory."""

import json

import numpy as np
from tiny import NEGATIVE, NEUTRAL, POSITIVE, ROOT, write_bert

from classifier.files.places import BASE

FAMILIES = ["bert", "distilbert", "roberta", "mpnet", "modernbert"]
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
MAX_LENGTH = 64


def write_encoder(family: str) -> None:
    """models/base/ of this family, as its repository on the Hub has it: a masked language model, no classifier."""
    import torch
    from transformers import AutoModelForMaskedLM, DistilBertConfig, ModernBertConfig, MPNetConfig, RobertaConfig

    BASE.mkdir(parents=True)
    if family == "bert":
        return write_bert(BASE)
    torch.manual_seed(0)
    if family == "distilbert":
        write_bert(BASE)  # the same tokenizer, in a repository that does not name its class
        (BASE / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True, "model_max_length": MAX_LENGTH}))
        vocabulary = len((BASE / "vocab.txt").read_text().split())
        config = DistilBertConfig(vocab_size=vocabulary, dim=32, n_layers=2, n_heads=2, hidden_dim=64)
        config.max_position_embeddings = MAX_LENGTH
    else:
        behind_padding = {"roberta": RobertaConfig, "mpnet": MPNetConfig}.get(family)  # their positions start there
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"] if behind_padding else None
        tokens = write_byte_tokenizer(special or ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"])
        ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
        if behind_padding:
            config = behind_padding(vocab_size=tokens, max_position_embeddings=MAX_LENGTH + 2, **SIZES, **ids)
        else:
            config = ModernBertConfig(vocab_size=tokens, max_position_embeddings=MAX_LENGTH, cls_token_id=0,
                                      sep_token_id=2, **SIZES, **ids)  # fmt: skip
    AutoModelForMaskedLM.from_config(config).save_pretrained(BASE)


def peft_defaults(family: str) -> dict:
    """What the catalogue's entry of that family says, but of all layers: here are two."""
    from classifier.runner.params import load_params

    return load_params(ROOT / "params.yaml").models[family].peft | {"layers_to_transform": None}


def write_byte_tokenizer(special: list[str]) -> int:
    """A byte-level BPE tokenizer whose merges make the first two letters of each word; the number of its tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = POSITIVE + NEGATIVE + NEUTRAL
    merges = list(dict.fromkeys((word[0], word[1]) for word in words if len(word) > 1))
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: n for n, token in enumerate([*special, *letters, *("".join(pair) for pair in merges)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    begin, pad, end, unknown, mask = special
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=[(begin, 0), (end, 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, cls_token=begin, bos_token=begin, pad_token=pad, sep_token=end, eos_token=end,
        unk_token=unknown, mask_token=mask, model_max_length=MAX_LENGTH,
    ).save_pretrained(BASE)  # fmt: skip
    return len(vocabulary)


def small_bert(labels: int = 2):
    """A random BertForSequenceClassification without dropout; the tokens of `sequences` are of its vocabulary."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        num_labels=labels,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertForSequenceClassification(config)


def sequences(count: int, seed: int = 0) -> np.ndarray:
    """Token ids of different lengths: (count,) arrays."""
    rng = np.random.default_rng(seed)
    rows = np.empty(count, dtype=object)
    for number in range(count):
        rows[number] = rng.integers(5, 50, rng.integers(3, 30))
    return rows

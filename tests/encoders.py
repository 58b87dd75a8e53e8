"""Tiny random models: encoders of five families and two decoders in models/base/, and classifiers in memory.

The vocabularies of their tokenizers are fixed.
"""

import json

import numpy as np
from tiny import MAX_LENGTH, NEGATIVE, NEUTRAL, POSITIVE, ROOT, SIZES, reviews, write_bert

from classifier.files.places import BASE
from classifier.params.catalogue import Method

FAMILIES = ["bert", "distilbert", "roberta", "mpnet", "modernbert"]
DECODERS = ["qwen3", "llama"]  # llama: as SmolLM2 has it
HEADS = {"distilbert": ["classifier", "pre_classifier"], "modernbert": ["classifier", "head"]}
HEADS |= {family: ["classifier"] for family in ("bert", "roberta", "mpnet")}
HEADS |= {family: ["score"] for family in DECODERS}
LORA = Method(peft={"peft_type": "LORA", "r": 4, "lora_alpha": 8})
TEXTS = [text for text, _ in reviews(6)]
SAVED = {"task": "single-label", "decision": {}, "tokenize": {}}  # settings that every classifier is saved with


def write_encoder(family: str, layers: int = 2) -> None:
    """Write models/base/ as the family's repository on the Hub has it: a masked language model without a classifier."""
    import torch
    from transformers import AutoModelForMaskedLM, DistilBertConfig, ModernBertConfig, MPNetConfig, RobertaConfig

    BASE.mkdir(parents=True)
    if family == "bert":
        return write_bert(BASE, layers)
    torch.manual_seed(0)
    if family in DECODERS:
        return write_decoder(family, layers)
    sizes = SIZES | {"num_hidden_layers": layers}
    if family == "distilbert":
        write_bert(BASE)  # the same tokenizer, but tokenizer_config.json does not name its class
        (BASE / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True, "model_max_length": MAX_LENGTH}))
        vocabulary = len((BASE / "vocab.txt").read_text().split())
        config = DistilBertConfig(vocab_size=vocabulary, dim=32, n_layers=layers, n_heads=2, hidden_dim=64)
        config.max_position_embeddings = MAX_LENGTH
    else:
        # The position numbers of these two families start after the padding's number.
        padded_config = {"roberta": RobertaConfig, "mpnet": MPNetConfig}.get(family)
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"] if padded_config else None
        tokens = write_byte_tokenizer(special or ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"])
        ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
        if padded_config:
            config = padded_config(vocab_size=tokens, max_position_embeddings=MAX_LENGTH + 2, **sizes, **ids)
        else:
            config = ModernBertConfig(vocab_size=tokens, max_position_embeddings=MAX_LENGTH, cls_token_id=0,
                                      sep_token_id=2, **sizes, **ids)  # fmt: skip
    AutoModelForMaskedLM.from_config(config).save_pretrained(BASE)


def write_decoder(family: str, layers: int) -> None:
    """Write models/base/ as Qwen3-0.6B and SmolLM2-135M have it: a causal language model without a classifier.

    Four heads share two heads of keys and values, the tokenizer adds no special token, and config.json names no padding
    token. Qwen3's tokenizer has one. SmolLM2's has not: its only special token ends a text.
    """
    from transformers import AutoModelForCausalLM, LlamaConfig, Qwen3Config

    special = ["<|endoftext|>"] if family == "llama" else ["<|endoftext|>", "<|im_end|>"]
    named = {"pad_token": special[0]} if family == "qwen3" else {"unk_token": special[0]}
    tokens = write_byte_tokenizer(special, model_max_length=131072, eos_token=special[-1], **named)
    sizes = SIZES | {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": tokens}
    sizes["num_hidden_layers"] = layers
    sizes |= {"max_position_embeddings": 8192, "tie_word_embeddings": True, "eos_token_id": len(special) - 1}
    config = LlamaConfig(**sizes) if family == "llama" else Qwen3Config(**sizes, head_dim=16)
    AutoModelForCausalLM.from_config(config).bfloat16().save_pretrained(BASE)  # the published weights are in bf16


def peft_defaults(family: str) -> dict:
    """Return the peft defaults of the family's catalogue entry, for all layers: the tiny encoders have only two."""
    from classifier.runner.params import load_params

    entry = {"llama": "smollm2"}.get(family, family)
    return load_params(ROOT / "params.yaml").models[entry].peft | {"layers_to_transform": None}


def build_trainable(family: str, method: Method = LORA, labels: int = 3):
    """Return a classifier with models/base/ as its encoder, prepared for training, and the names of its head."""
    import torch

    from classifier.model.adapters import apply_method
    from classifier.model.build import build_classifier

    torch.manual_seed(1)
    model, head = build_classifier([f"label {n}" for n in range(labels)], dropout=0.0)
    return apply_method(model, list(head), method, peft_defaults(family), steps=10), head


def token_ids() -> list[np.ndarray]:
    """Return the token ids of the first 2 to 7 words of TEXTS."""
    from transformers import AutoTokenizer

    from classifier.text.encoding import encode

    texts = [" ".join(text.split()[: n + 2]) for n, text in enumerate(TEXTS)]
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    return [np.array(ids) for (ids,) in encode(texts, tokenizer, 60, "head+tail", False)]


def write_byte_tokenizer(special: list[str], **settings) -> int:
    """Write a byte-level BPE tokenizer and return the size of its vocabulary.

    Its merges make the first two letters of each word. special: the tokens for beginning, padding, end, unknown, mask.
    With settings, the special tokens are those that the settings name, and none is added to a text.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = POSITIVE + NEGATIVE + NEUTRAL
    merges = list(dict.fromkeys((word[0], word[1]) for word in words if len(word) > 1))
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: n for n, token in enumerate([*special, *letters, *("".join(pair) for pair in merges)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if settings:
        tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, **settings).save_pretrained(BASE)
        return len(vocabulary)
    begin, pad, end, unknown, mask = special
    between = f"{end} {end}" if begin == "<s>" else end  # RoBERTa and MPNet have two tokens between the texts of a pair
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {between} $B {end}",
        special_tokens=[(begin, 0), (end, 2)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, cls_token=begin, bos_token=begin, pad_token=pad, sep_token=end, eos_token=end,
        unk_token=unknown, mask_token=mask, model_max_length=MAX_LENGTH,
    ).save_pretrained(BASE)  # fmt: skip
    return len(vocabulary)


def small_bert(labels: int = 2):
    """Return a random BertForSequenceClassification without dropout, whose vocabulary has the tokens of sequences()."""
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
    """Return an array of `count` arrays of random token ids, with different lengths."""
    rng = np.random.default_rng(seed)
    rows = np.empty(count, dtype=object)
    for number in range(count):
        rows[number] = rng.integers(5, 50, rng.integers(3, 30))
    return rows

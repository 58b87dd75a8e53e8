"""The model card: what it says of the training, and that the Hub's own parser reads its metadata."""

import re
import subprocess
import textwrap

import pytest
from commands import dvc, git, read, run_stages
from exports import DATA, card_of, compared
from huggingface_hub import ModelCard
from killing import locked
from tiny import ROOT, edit_params
from transformers import BertConfig

from classifier.export.card import About
from classifier.export.forms import FORMS
from classifier.files.places import EXPORT
from classifier.runner.params import load_params
from stages.export import about

EVALUATE = {
    **{"n": 60, "accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "f1": 0.9, "baseline_accuracy": 0.8},
    **{"slices": {}, "sets": {"target": 0.95, "validation_texts_needed": 59}},
}


def config(**changes) -> BertConfig:
    """Return the config of a classifier that was trained on texts with two labels."""
    values = {
        **{"id2label": {0: "bad", 1: "good"}, "task": "single-label", "columns": ["text"], "separator": "\n"},
        "tokenize": {"max_length": 60, "truncation": "head", "windows": 1, "strip_markup": False},
        "trained": {"dataset": "mine", "model": "tiny", "method": "lora", "texts": 60, "parameters": 9}
        | {"trainable_parameters": 3},
        **{"calibration_temperature": 1.5, "calibration_bias": [0.0, 0.0], "decision": {}},
    }
    return BertConfig(**values | changes)


def test_the_card_of_a_run(finished):
    edit_params(finished, **{"export.formats": ["transformers"]})
    run_stages("export")
    card, evaluation = ModelCard.load(EXPORT / "README.md"), read("metrics/evaluate.json")
    assert {result.metric_type: result.metric_value for result in card.data.eval_results} == {
        name: evaluation[name] for name in ("accuracy", "f1", "roc_auc", "log_loss", "ece")
    }
    assert card.content.startswith("---\n")
    assert "# minilm with lora on imdb-wheel\n" in card.text
    assert "160 texts of `imdb-wheel`, adapter merged into the weights." in card.text
    assert "The test texts are held out of the training texts." in card.text
    assert "80 test texts, held out of the training split: not the official test split" in card.text
    assert "160 train, 60 validation and 80 test texts." in card.text
    assert "keeps the beginning only" in card.text
    assert "by up to 8 windows" in card.text
    (code,) = re.findall(r"```python\n(  import re\n.*?)```", card.text, re.DOTALL)
    names = {"text": "<a href='x' class=\"y\">good</a> film<br />"}
    exec(textwrap.dedent(code), names)
    assert names["text"] == " good  film "

    # The hashes lead to the commit of the training, whatever was committed before and since.
    hashes = dict(re.findall(r"^\| `([\w/]+)` \| `(\w{32}\.dir)` \|$", card.text, re.MULTILINE))
    outs = {out["path"]: out["md5"] for stage in locked(finished)["stages"].values() for out in stage["outs"]}
    assert hashes == {path: outs[path] for path in ("data/raw", "models/base", "models/adapter")}
    trained = git("rev-parse", "HEAD")
    dvc("repro", "export")
    git("commit", "-qam", "export")
    assert "make export FORMATS=transformers\n" in card.text
    (search,) = re.findall(r"git checkout \$\((.*)\)$", card.text, re.MULTILINE)
    assert subprocess.run(search, shell=True, check=True, capture_output=True, text=True).stdout == trained


def test_what_the_hub_reads():
    """Names, languages and licences as the metadata of the Hub has them, by its own parser."""
    sources = {"about_data": About(hub="team/reviews", language=["en", "de"], license="cc0-1.0")}
    sources |= {"about_model": About(hub="team/encoder", license="apache-2.0")}
    card = ModelCard(card_of(config(), EVALUATE, DATA, license="mit", **sources))
    data = card.data
    assert (data.license, data.base_model, data.datasets, data.language) == (
        "mit", "team/encoder", ["team/reviews"], ["en", "de"]
    )  # fmt: skip
    assert data.to_dict()["base_model_relation"] == "finetune"
    assert (data.library_name, data.pipeline_tag, data.tags) == ("transformers", "text-classification", ["lora"])
    assert data.model_name == "tiny-lora-mine"
    assert "\nThe data set is `team/reviews` on the Hugging Face Hub, under the licence `cc0-1.0`.\n" in card.text
    assert (
        "\nThe pretrained model is `team/encoder` on the Hugging Face Hub, under the licence `apache-2.0`.\n"
        in card.text
    )
    (accuracy,) = [result for result in data.eval_results if result.metric_type == "accuracy"]
    assert (accuracy.dataset_type, accuracy.dataset_name, accuracy.dataset_split, accuracy.metric_value) == (
        "team/reviews", "mine", "test", 0.9
    )  # fmt: skip


def test_what_nobody_has_said_is_left_out():
    card = ModelCard(card_of(config(), EVALUATE, DATA, about_data=About(license="mit")))
    data = card.data
    assert "\nThe data set is under the licence `mit`.\n" in card.text
    assert "The pretrained model" not in card.text
    absent = {"license", "base_model", "base_model_relation", "datasets", "language"}
    assert absent & data.to_dict().keys() == set()
    assert data.eval_results[0].dataset_type == "mine"


def test_a_source_on_the_hub_names_itself(project):
    params = load_params()
    wheel, model = params.datasets["imdb-wheel"].source, params.models["minilm"].source
    assert about(None, wheel) == About()
    assert about(About(hub="a/b", language="en"), wheel) == About(hub="a/b", language="en")
    assert about(About(license="mit"), model) == About(license="mit")
    hub = params.datasets["imdb"].source
    assert about(None, hub) == About(hub=hub.hub)
    assert about(About(language="en"), hub) == About(hub=hub.hub, language="en")


def test_the_shipped_entries_are_entries_of_the_catalogues():
    params = load_params(ROOT / "params.yaml")
    assert set(params.export.about) <= {*params.datasets, *params.models}


def test_no_form_is_kept():
    forms = {name: compared(kept=False) for name in ("bf16", "int8")}
    card = card_of(config(), EVALUATE, DATA, forms=forms)
    assert "This folder holds no form of the model: validation showed of none that it is good enough" in card
    assert "does not show that they are as good: bf16, int8." in card
    assert "```python" not in card
    assert "onnx/" not in card
    assert "\n\n\n" not in card


@pytest.mark.parametrize("kept", [["transformers"], ["bf16"], ["onnx"], ["onnx", "int8"], [*FORMS]], ids=str)
def test_the_page_has_no_gaps(kept):
    forms = {name: compared() for name in kept}
    card = card_of(config(), EVALUATE, DATA, forms=forms)
    assert "\n\n\n" not in card
    assert "Left out" not in card
    assert f"make export FORMATS={','.join(kept)}\n" in card
    graphs = [f"`{FORMS[name].file}`" for name in kept if FORMS[name].is_graph]
    assert (f"{' and '.join(graphs)} take{'s' * (len(graphs) == 1)} the outputs" in card) == bool(graphs)
    assert ("In int8, an answer depends a little on the other texts of its batch" in card) == ("int8" in kept)


def test_a_pair_and_token_types():
    """The example and the names of the columns are those of two texts, for transformers and for ONNX."""
    pair = config(pair=True, token_types_after=3, columns=["premise", "hypothesis"])
    card = card_of(pair, EVALUATE, DATA)
    assert 'classify({"text": "A man sleeps on a bench.", "text_pair": "Nobody is awake."}, truncation=True)' in card
    assert "`text` is the column premise, `text_pair` the column hypothesis" in card
    card = card_of(pair, EVALUATE, DATA, forms={"onnx": compared()})
    assert 'tokenizer(["A man sleeps on a bench."], ["Nobody is awake."], truncation=True' in card
    assert "`input_ids`, `attention_mask` and `token_type_ids` of this folder's tokenizer" in card


def test_where_the_test_texts_come_from():
    sampled = DATA | {"test_available": 9000}
    held_out = DATA | {"official_test": False}
    for data, text in (
        (DATA, "\n60 test texts, the official test split.\n"),
        (sampled, "\n60 test texts, a stratified sample of the 9,000 texts of the official test split.\n"),
        (held_out, "They may share sources with the train texts"),
        (held_out | {"groups": 40}, "No group of the train texts is among them"),
    ):
        card = card_of(config(), EVALUATE, data)
        assert text in card
        assert ("The test texts come from the official test split" in card) == data["official_test"]


def test_names_with_markdown_are_shown_as_they_are():
    card = card_of(config(id2label={0: "*bad*", 1: "<b>"}, columns=["a_b_", "c"]), EVALUATE, DATA)
    assert "A classifier of texts as \\*bad\\* or \\<b>: " in card
    assert "the columns a\\_b\\_, c, joined by" in card

"""The forms of the server's requests and answers, for the loaded model. OpenAPI describes them at /docs."""

from typing import Annotated, Any

from fastapi import HTTPException, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from classifier.predict.classifier import Classifier
from classifier.runner.params import problem_of

# A body above the limit is read up to this many times the limit: a client that is still sending reads no response.
DRAINED = 10
TYPES = {"string": str, "int64": int, "float32": float, "float64": float}  # by the names of pyarrow
SINGLE = "I would watch it again tomorrow.", "Too long."
PAIR = "A man sleeps.", "Nobody is awake."


class Health(BaseModel):
    """Whether the server takes requests, and the model that it loaded."""

    status: str = Field(description="ready, or full while the queue is full")
    digest: str = Field(description="digest of models/adapter when it was loaded")
    trained: dict[str, Any] = Field(description="data set, encoder and method of the training")
    task: str
    labels: list[str]
    pairs: bool = Field(description="whether the model reads pairs of texts")
    min_confidence: float = Field(description='the confidence below which an answer is "uncertain"')
    sets: float | None = Field(description="the share of the texts whose set has the right label; null without sets")
    precision: str = Field(description="precision of the scoring: fp32 or bf16; explanations are always in fp32")


def request_forms(classifier: Classifier, max_texts: int) -> tuple[type[BaseModel], type[BaseModel]]:
    """Return the forms of the bodies of /predict and /explain.

    Args:
        classifier: The classifier; if it reads pairs, a text is a list of two strings.
        max_texts: The most texts of a request to /predict.
    """
    text = tuple[str, str] if classifier.reads_pairs else str
    texts = Annotated[list[text], Field(min_length=1, max_length=max_texts)]
    if not classifier.reads_pairs:  # a pair without a list around it would look like two texts
        texts = Annotated[texts, BeforeValidator(listed, json_schema_input_type=str | texts)]
    example = [PAIR] if classifier.reads_pairs else [*SINGLE]
    return (
        create_model("Texts", __config__=config(texts=example), texts=texts),
        create_model("TextToExplain", __config__=config(text=example[0]), text=text, label=(str | None, None)),
    )


def config(**example: Any) -> ConfigDict:
    """Return the settings of the form of a request: unknown keys are refused, and OpenAPI shows an example."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


def listed(texts: Any) -> Any:
    """Return one text as a list."""
    return [texts] if isinstance(texts, str) else texts


def response_forms(classifier: Classifier) -> tuple[type[BaseModel], type[BaseModel]]:
    """Return the forms of the responses of /predict and /explain."""
    named = {name: (python_type(kind) | None, ...) for name, kind in classifier.parts.items()}
    answer = create_model("Answer", __doc__="The answer to a text. All parts are null for a blank text.", **named)
    number = "value" if "value" in named else "confidence"
    words = {"words": list[str], "attributions": list[float], "difference": float, "gap": float, "marked": str}
    doc = "The words of a text and the part of each in the label's log-odds, as docs/how-to/explain.md describes them."
    return (
        create_model("Answers", answers=list[answer]),
        create_model("Explanation", __doc__=doc, label=str, **{number: float}, **words),
    )


def python_type(kind: str) -> type:
    """Return the Python type for the name of a pyarrow type."""
    return list[TYPES[kind[5:-1]]] if kind.startswith("list<") else TYPES[kind]


async def read_form(request: Request, form: type[BaseModel], max_bytes: int) -> BaseModel:
    """Read the body of a request, and return it as an object of the class `form`.

    Raises:
        HTTPException: The body has another form or more than `max_bytes` bytes.
        ClientDisconnect: The client closed the connection before it sent the whole body.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "the body should be JSON; send the header Content-Type: application/json")
    body, size = bytearray(), 0
    async for piece in request.stream():
        size += len(piece)
        if size <= max_bytes:
            body += piece
        elif size > DRAINED * max_bytes:
            break
    if size > max_bytes:
        raise HTTPException(413, f"the body has more than {max_bytes:,} bytes; send fewer texts at once")
    try:
        return form.model_validate_json(bytes(body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise HTTPException(400, f"{problem_of(error)}; send the body as JSON in UTF-8") from None
        place = ".".join(map(str, first["loc"])) or "the body"
        raise HTTPException(422, f"{place}: {problem_of(error)}; see /docs for the form of a request") from None

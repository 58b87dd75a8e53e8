"""The HTTP interface of the server: its paths, its limits and its errors."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi_offline import FastAPIOffline
from starlette.requests import ClientDisconnect

from apps.serve.errors import HANDLERS, STATUSES, Error
from apps.serve.forms import Health, read_form, request_forms, response_forms
from apps.serve.jobs import Function, JobQueue
from apps.serve.metrics import Measured, Metrics
from classifier.errors import InputError
from classifier.files.digests import digest_of
from classifier.files.places import ADAPTER
from classifier.model.loading import trained_settings
from classifier.model.padding import batches_by_length
from classifier.predict.answers import named_parts, rounded
from classifier.predict.classifier import Answer, Classifier
from classifier.predict.explanation import explain_label
from classifier.text.cleaning import is_blank
from classifier.text.pairs import Text, parts

CHARACTERS = 5000  # most characters of a forward pass on a CPU, padding included: about 1,000 tokens
EXPLANATION = 64  # explaining one text takes about as long as scoring this many


class Limits(NamedTuple):
    """The limits of the server. The options of apps/serve/command.py describe them."""

    batch_size: int
    max_texts: int
    max_bytes: int
    max_queue: int
    time_limit: float


class Service:
    """The functions behind the paths. All requests share one queue and the thread that has the models.

    Args:
        classifier: The classifier that answers.
        explaining: The classifier that explains, in fp32. It can be the same one.
        limits: The limits of the server.
    """

    def __init__(self, classifier: Classifier, explaining: Classifier, limits: Limits):
        self.classifier, self.explaining, self.limits = classifier, explaining, limits
        self.requests = 0  # requests that are not answered yet
        self.jobs, self.metrics = JobQueue(limits.batch_size), Metrics()
        self.metrics.waiting_texts.set_function(lambda: self.jobs.weight)
        for one in {classifier, explaining}:
            one.model.register_forward_pre_hook(self.jobs.stop_if_abandoned)
        self.texts_form, self.text_form = request_forms(classifier, limits.max_texts)
        self.about = {
            "digest": digest_of({}, [ADAPTER]),
            "trained": trained_settings()["trained"],
            "task": classifier.model.config.task,
            "labels": classifier.names,
            "pairs": classifier.reads_pairs,
            "min_confidence": classifier.min_confidence,
            "sets": classifier.sets,
            "precision": "bf16" if classifier.model.dtype.itemsize == 2 else "fp32",
        }

    def app(self) -> FastAPI:
        """Return the application."""
        settings = {"redoc_url": None, "telemetry": {"auto_configure": False}}  # sends nothing, whatever OTEL_* says
        app = FastAPIOffline(title="Text classifier", lifespan=self.running, **settings)
        errors = {status: {"model": Error} for status in STATUSES}
        answers, explanation = response_forms(self.classifier)
        for path, form, response in (
            ("predict", self.texts_form, answers),
            ("explain", self.text_form, explanation),
        ):
            body = {"required": True, "content": {"application/json": {"schema": form.model_json_schema()}}}
            options = {"response_model": response, "responses": errors, "openapi_extra": {"requestBody": body}}
            app.add_api_route(f"/{path}", getattr(self, path), methods=["POST"], **options)
        app.add_api_route("/health", self.health, response_model=Health, responses={503: {"model": Health}})
        app.add_api_route("/metrics", self.show_metrics, response_class=Response)
        app.add_middleware(Measured, metrics=self.metrics)
        for error, handler in HANDLERS.items():
            app.add_exception_handler(error, handler)
        return app

    @asynccontextmanager
    async def running(self, _: FastAPI) -> AsyncIterator[None]:
        """Do the jobs while the application runs."""
        doing = asyncio.create_task(self.jobs.run())
        yield
        doing.cancel()
        with suppress(asyncio.CancelledError):
            await doing
        self.jobs.close()

    async def predict(self, request: Request) -> dict[str, Any]:
        """Label texts; return the answers in the order of the texts. A blank text has an answer of nulls."""
        async with self.admitted():
            texts = (await read_form(request, self.texts_form, self.limits.max_bytes)).texts
            answers = await self.done(request, self.score, texts, len(texts))
        return {"answers": [named_parts(self.classifier.parts, answer) for answer in answers]}

    def score(self, texts: list[Text]) -> list[Answer]:
        """Return the answers to the texts of several requests.

        On a CPU, the texts are scored in batches of similar length. These need less padding, and so less time, than
        one batch of all texts.
        """
        self.metrics.batch_texts.observe(len(texts))
        if self.classifier.model.device.type != "cpu":
            return self.classifier(texts)
        lengths, answers = np.array([1 + sum(map(len, parts(text))) for text in texts]), {}
        for numbers in batches_by_length(lengths, CHARACTERS):
            answers |= zip(numbers, self.classifier([texts[number] for number in numbers]), strict=True)
        return [answers[number] for number in range(len(texts))]

    async def explain(self, request: Request) -> dict[str, Any]:
        """Return the part of each word in the log-odds of the most probable label of a text, or of the named label."""
        async with self.admitted():
            body = await read_form(request, self.text_form, self.limits.max_bytes)
            weight = min(EXPLANATION, self.limits.max_queue)
            (answer,) = await self.done(request, partial(self.explained, body.label), [body.text], weight)
        return answer

    def explained(self, label: str | None, texts: list[Text]) -> list[dict[str, Any]]:
        """Return the explanation of the only text. Raises InputError if there is nothing to explain."""
        (text,), classifier = texts, self.explaining
        if any(map(is_blank, parts(text))) or not all(classifier.token_windows(texts)):
            raise InputError("text: has nothing to read; send a text with words")
        found = explain_label(classifier.model, classifier.tokenizer, text, label)
        number = "value" if "value" in classifier.task.ANSWER else "confidence"
        named = {"label": found.label, number: found.confidence, "words": found.words, "marked": found.text}
        numbers = {name: getattr(found, name) for name in ("attributions", "difference", "gap")}
        return [{name: rounded(value, name) for name, value in (named | numbers).items()}]

    async def health(self, response: Response) -> dict[str, Any]:
        """Tell whether the server takes requests, with the status 200 or 503, and which model it has."""
        is_full = max(self.requests, self.jobs.weight) >= self.limits.max_queue
        response.status_code = 503 if is_full else 200
        return {"status": "full" if is_full else "ready", **self.about}

    async def show_metrics(self) -> Response:
        """Show the metrics in the text format of Prometheus."""
        return Response(self.metrics.text(), media_type=self.metrics.content_type)

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Count a request during a `with` block, and stop the block after the time limit.

        Raises HTTPException if too many requests are open (503) or the time limit is over (504).
        """
        if self.requests >= self.limits.max_queue:
            raise self.overloaded()
        self.requests += 1
        try:
            async with asyncio.timeout(self.limits.time_limit):
                yield
        except TimeoutError:
            problem = f"no answer within {self.limits.time_limit:g} s; send fewer or shorter texts, or wait"
            raise HTTPException(504, problem) from None
        finally:
            self.requests -= 1

    def overloaded(self) -> HTTPException:
        """Return the error of a full queue. A client may try again after the time that the oldest job has waited."""
        seconds = str(max(1, math.ceil(self.jobs.delay)))
        return HTTPException(503, f"too many texts wait; try again in {seconds} s", {"Retry-After": seconds})

    async def done(self, request: Request, function: Function, texts: list[Text], weight: int) -> list[Any]:
        """Return the answers of a function to texts, once the thread has called it.

        Raises:
            HTTPException: The queue is full, or the texts have no answer.
            ClientDisconnect: The client closed the connection. If its texts still waited, nobody scores them.
        """
        if self.jobs.weight + weight > self.limits.max_queue:
            raise self.overloaded()
        result = self.jobs.add(function, texts, weight)
        gone = asyncio.ensure_future(request.receive())  # the body is read: the next message is that the client is gone
        try:
            await asyncio.wait((result, gone), return_when=asyncio.FIRST_COMPLETED)
            if not result.done():
                raise ClientDisconnect
            return result.result()
        except InputError as error:
            raise HTTPException(422, str(error)) from None
        finally:
            gone.cancel()
            self.jobs.drop(result)

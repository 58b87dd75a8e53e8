"""Serve the trained classifier over HTTP.

  make serve                      (first runs the stages that are out of date)
  python -m apps.serve --port 9000 --min-accuracy 0.95

POST /predict labels texts as apps.infer does, and POST /explain tells which
words decided. GET /health and GET /metrics are for other programs, and /docs
shows the interface in a browser:
  curl http://127.0.0.1:8000/predict -H "Content-Type: application/json" \\
    -d '{"texts": ["I would watch it again tomorrow.", "Too long."]}'

Texts that wait are scored together. SIGTERM and Ctrl-C end the server: it
answers the requests that it has, refuses others, and exits with status 0.
Restart the server after a training: it keeps the model that it has loaded.
docs/how-to/serve.md says more.

Environment variables:
  DEVICE           cpu, cuda:1 or mps; default: the best device that is found
  OMP_NUM_THREADS  threads that score on the CPU; default: the number of cores

After an error, the command prints one line to stderr and exits with status 1.
If the command line itself cannot be read, the exit status is 2.
"""

import math
import os
import signal
import socket
import sys
from typing import Annotated

from typer import Option

from apps.infer import MIN_ACCURACY, MIN_CONFIDENCE, PRECISION, SETS
from classifier.errors import InputError
from classifier.predict.classifier import Classifier
from classifier.runner.command import exit_on_user_error, run_command
from classifier.runner.environment import let_idle_threads_sleep
from classifier.scoring.options import check_sets, chosen_precision, parse_required_confidence

HOST = "Address to listen on; 0.0.0.0 for all addresses of this machine."
BATCH = "Most texts of several requests that are scored together."
TEXTS, BYTES = "Most texts of a request.", "Most bytes of a request."
QUEUE = "Most texts that wait; further requests get 503. An explanation counts as 64 texts."
TIME = "Time after which a request without an answer gets 504."


def main(
    host: Annotated[str, Option(metavar="ADDRESS", help=HOST)] = "127.0.0.1",
    port: Annotated[int, Option(metavar="PORT", min=0, max=65535, help="Port; 0 for a free one.")] = 8000,
    min_confidence: Annotated[str | None, Option(metavar="SHARE", help=MIN_CONFIDENCE)] = None,
    min_accuracy: Annotated[float | None, Option(metavar="SHARE", help=MIN_ACCURACY)] = None,
    sets: Annotated[float | None, Option(metavar="SHARE", help=SETS)] = None,
    precision: Annotated[str, Option(metavar="NAME", help=PRECISION, show_default=False)] = "fp32",
    batch_size: Annotated[int, Option(metavar="NUMBER", min=1, help=BATCH)] = 32,
    max_texts: Annotated[int, Option(metavar="NUMBER", min=1, help=TEXTS)] = 128,
    max_bytes: Annotated[int, Option(metavar="NUMBER", min=1, help=BYTES)] = 1_000_000,
    max_queue: Annotated[int, Option(metavar="NUMBER", min=1, help=QUEUE)] = 256,
    time_limit: Annotated[float, Option(metavar="SECONDS", min=0.1, help=TIME)] = 30.0,
) -> None:
    """Load the classifier and serve it until a signal. The module's docstring is the help text."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    let_idle_threads_sleep()
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn shuts down at the signal, then raises it again
        signal.signal(number, lambda *_: sys.exit(0))
    with exit_on_user_error("serve"):
        if max_texts > max_queue:
            raise InputError(f"--max-texts {max_texts}: is above --max-queue {max_queue}; lower it or raise the other")
        app = imported_app()
        confidence = parse_required_confidence(min_confidence, min_accuracy)
        check_sets(sets, "serve")
        with listening(host, port) as listener:
            precision = chosen_precision(precision, "serve")
            classifier = Classifier(confidence, precision=precision, sets=sets)
            explaining = classifier if precision == "fp32" else Classifier()
            limits = app.Limits(batch_size, max_texts, max_bytes, max_queue, time_limit)
            service = app.Service(classifier, explaining, limits)
            classifier([("a", "a")] if classifier.reads_pairs else ["a"])  # torch prepares itself in the first call
            address = f"[{host}]" if ":" in host else host
            print(f"serve: http://{address}:{listener.getsockname()[1]}; its interface: /docs", flush=True)
            web_server(service.app(), time_limit).run(sockets=[listener])


def imported_app():
    """Return the module apps.serve.app. Raises InputError if the group serve is not installed."""
    try:
        from apps.serve import app
    except ModuleNotFoundError as error:
        install = "uv pip install --group serve -c requirements.txt"
        raise InputError(f"{error.name} is not installed; `{install}` installs it") from None
    return app


def web_server(app, time_limit: float):
    """Return uvicorn's server of an application. At its end, all requests have `time_limit` seconds to be answered."""
    import uvicorn

    config = {"http": "h11", "ws": "none", "lifespan": "on", "log_level": "warning", "access_log": False}
    config |= {"server_header": False, "proxy_headers": False, "timeout_graceful_shutdown": math.ceil(time_limit) + 1}
    return uvicorn.Server(uvicorn.Config(app, **config))


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises InputError if the address cannot be used."""
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        problem = error.strerror.partition(" (while")[0]  # Python adds the address
        raise InputError(f"{host}, port {port}: {problem}; choose another --host or --port") from None
    # Connections inherit the option. Without it, the body of a response waits 40 ms until the client confirms its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def run() -> None:
    """Run the command line."""
    run_command(main, "apps.serve", __doc__)

"""A web page on this machine for trying the trained classifier in a browser.

    make demo     (installs gradio, runs `dvc repro`, and serves http://127.0.0.1:7860)

Set GRADIO_SERVER_PORT in the environment to use another port. One tab of the page classifies a typed text and marks
the words that decided. The other tab scores the rows of an uploaded file.

In:  models/base/ and models/adapter/; from params.yaml infer.texts and evaluate's target_accuracy and target_level.
"""

import os
import signal
import sys
import tempfile

from apps.demo_actions import Actions
from apps.demo_page import build_page
from classifier.errors import InputError
from classifier.predict.classifier import Classifier
from classifier.runner.command import exit_on_user_error, no_arguments
from classifier.runner.environment import let_idle_threads_sleep
from classifier.runner.params import load_params

HOST = "127.0.0.1"
CSS = ".token.highlighted .text { color: var(--body-text-color); }"  # gradio uses black, even on a dark page


def prepare_environment() -> None:
    """Set the environment for a page that needs no network and runs in one process."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    let_idle_threads_sleep()
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = HOST  # gradio sends a request to its own server at the start
    os.environ.pop("LAUNCH", None)


def import_gradio():
    """Return the module gradio. Raises InputError if gradio is not installed or its environment is wrong."""
    try:
        import gradio
    except ModuleNotFoundError:
        raise InputError("gradio is not installed; `make demo` installs it") from None
    except ValueError as error:  # the error does not name the variable
        raise InputError(f"GRADIO_SERVER_PORT in the environment: {error}; set it to a port number") from None
    return gradio


def main() -> None:
    """Serve the page until the process is interrupted."""
    no_arguments("python -m apps.demo", "make demo")
    prepare_environment()
    gradio = import_gradio()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("demo: ended by a signal"))
    params = load_params()
    theme = gradio.themes.Default(font="system-ui", font_mono="monospace")  # other fonts come from the network
    with tempfile.TemporaryDirectory() as uploads:  # uploaded files are deleted when the page ends
        os.environ["GRADIO_TEMP_DIR"] = uploads
        target = params.evaluate.target_accuracy, params.evaluate.target_level
        page = build_page(Actions(Classifier()), [sample.text for sample in params.infer.texts], *target)
        # Served to this machine alone, whatever the environment says. The browser stores nothing of the visit.
        server = {"server_name": HOST, "share": False, "ssr_mode": False, "run_history": False}
        page.launch(**server, theme=theme, css=CSS, footer_links=["api"])


if __name__ == "__main__":
    with exit_on_user_error("demo"):
        main()

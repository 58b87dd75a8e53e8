"""The clients of the load test, which `make serving` starts: each posts a text, waits for the answer, posts the next.

    locust --headless --locustfile benchmarks/serving_clients.py --bodies BODIES --host URL --users 8 --run-time 30

BODIES is a JSON file with the bodies of the requests, which all clients take in turn.
"""

import itertools
import json
from pathlib import Path

from locust import FastHttpUser, constant, events, task


class Client(FastHttpUser):
    """A client that sends its next request at once after an answer."""

    wait_time = constant(0)

    @task
    def predict(self) -> None:
        """Post the next body."""
        self.client.post("/predict", json=next(self.bodies))


@events.init_command_line_parser.add_listener
def add_option(parser) -> None:
    """Add the option --bodies to locust's."""
    parser.add_argument("--bodies", required=True)


@events.init.add_listener
def read_bodies(environment, **_) -> None:
    """Read the file that --bodies names."""
    Client.bodies = itertools.cycle(json.loads(Path(environment.parsed_options.bodies).read_text()))

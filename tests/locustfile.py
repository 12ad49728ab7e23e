"""The seed's load test: `locust -f tests/locustfile.py --host http://127.0.0.1:8000`."""

from __future__ import annotations

import random

from locust import HttpUser, between, task
from locust.exception import StopUser

LISTED = 200


class NeoAlexandriaUser(HttpUser):
    """Somebody who searches, reads and now and then corrects a title."""

    wait_time = between(1, 3)

    def on_start(self) -> None:
        """Learn which resources there are; a library without any has nobody to read it."""
        listed = self.client.get("/resources", params={"limit": LISTED}, name="/resources")
        self.resource_ids: list[str] = [item["id"] for item in listed.json()["items"]]
        if not self.resource_ids:
            raise StopUser

    def random_resource_id(self) -> str:
        """One that was there when this user came."""
        return random.choice(self.resource_ids)

    @task(3)
    def search(self) -> None:
        self.client.get("/search", params={"query": "machine learning"}, name="/search")

    @task(1)
    def get_resource(self) -> None:
        self.client.get(f"/resources/{self.random_resource_id()}", name="/resources/[id]")

    @task(1)
    def update_resource(self) -> None:
        self.client.put(
            f"/resources/{self.random_resource_id()}", json={"title": "Updated title"}, name="/resources/[id]"
        )

"""Publishes a binary and a structured CloudEvent straight to `events`: kafka_publish.py SERVERS TOPIC"""

import sys

from cloudevents.core.bindings import kafka
from confluent_kafka import Producer

from events import event


def main(servers: str, topic: str) -> None:
    settings = {"bootstrap.servers": servers, "partitioner": "murmur2_random", "enable.idempotence": True}
    producer = Producer(settings)
    failures = []
    messages = [
        kafka.to_binary_event(event("python-binary", "customer-17")),
        kafka.to_structured_event(event("python-structured", "customer-17")),
    ]
    for message in messages:
        producer.produce(
            topic,
            key=message.key,
            value=message.value,
            headers=message.headers,
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
    left = producer.flush(30)
    if left or failures:
        sys.exit(f"{left} not confirmed: {failures}")


main(*sys.argv[1:])

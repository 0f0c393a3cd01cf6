"""Reads `events` with a group of its own and prints one JSON object for each: kafka_consume.py SERVERS TOPIC COUNT"""

import json
import sys

from cloudevents.core.bindings import kafka
from confluent_kafka import Consumer


def described(message) -> dict:
    """What came, an event where the SDK has its format."""
    headers = dict(message.headers() or [])
    kind = headers.get("content-type", b"").decode()
    if kind == "application/cloudevents+protobuf":
        return {"kind": kind, "accepted-by": headers.get("accepted-by", b"").decode()}
    came = kafka.KafkaMessage(headers=headers, key=message.key(), value=message.value())
    event = kafka.from_kafka_event(came)
    described = {"kind": kind, "id": event.get_id(), "source": event.get_source(), "data": event.get_data()}
    return {**described, "key": event.get_extension("partitionkey")}


def main(servers: str, topic: str, count: str) -> None:
    settings = {"bootstrap.servers": servers, "group.id": f"{topic}.python", "auto.offset.reset": "earliest"}
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    left = int(count)
    while left > 0:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            sys.exit(str(message.error()))
        print(json.dumps(described(message)), flush=True)
        left -= 1
    consumer.close()


main(*sys.argv[1:])

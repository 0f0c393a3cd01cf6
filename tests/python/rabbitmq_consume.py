"""Gets copies of `events` by a queue of its own, says `ready` and prints one JSON object for each:
rabbitmq_consume.py URL EXCHANGE COUNT"""

import json
import sys

import pika
from cloudevents.core.bindings import kafka


def described(properties, body: bytes) -> dict:
    """On the bus attributes have the names of Kafka's binding."""
    headers = {name: str(value).encode() for name, value in (properties.headers or {}).items()}
    if properties.content_type:
        headers.setdefault("content-type", properties.content_type.encode())
    event = kafka.from_kafka_event(kafka.KafkaMessage(headers=headers, key=None, value=body))
    return {"id": event.get_id(), "source": event.get_source(), "data": event.get_data()}


def main(url: str, exchange: str, count: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, exchange)
    print("ready", flush=True)
    left = int(count)
    for _method, properties, body in channel.consume(queue, auto_ack=True):
        print(json.dumps(described(properties, body)), flush=True)
        left -= 1
        if left == 0:
            break
    connection.close()


main(*sys.argv[1:])

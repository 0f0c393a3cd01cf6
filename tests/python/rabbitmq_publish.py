"""Publishes CloudEvents to exchange `events.in` in every form that the SDK has for AMQP: rabbitmq_publish.py URL EXCHANGE"""

import sys

import pika
from cloudevents.core.bindings import amqp, rabbitmq

from events import event


def main(url: str, exchange: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    # With confirms `basic_publish` raises what was refused, and what no queue took.
    channel.confirm_delivery()
    binary = rabbitmq.to_binary_event(event("python-binary", "customer-17"))
    structured = rabbitmq.to_structured_event(event("python-structured", "customer-17"))
    # The binding for AMQP 1.0, whose times are no text.
    portable = amqp.to_binary_event(event("python-amqp", "customer-17"))
    headers = {name: value for name, value in portable.application_properties.items() if not name.endswith("_time")}
    messages = [
        (binary.headers, binary.content_type, binary.body),
        (structured.headers, structured.content_type, structured.body),
        (headers, portable.properties["content-type"], portable.application_data),
    ]
    for headers, content_type, body in messages:
        properties = pika.BasicProperties(content_type=content_type, delivery_mode=2, headers=headers)
        channel.basic_publish(exchange, "customer-17", body, properties, mandatory=True)
    connection.close()


main(*sys.argv[1:])

"""The events that the Python clients of the tests publish, made by the CloudEvents SDK."""

from cloudevents.core.v1.event import CloudEvent


def event(event_id: str, key: str) -> CloudEvent:
    """An order that was paid, of a customer."""
    attributes = {
        "id": event_id,
        "source": "python",
        "type": "order.paid",
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "partitionkey": key,
    }
    return CloudEvent(attributes, {"order": event_id, "total": 4250})

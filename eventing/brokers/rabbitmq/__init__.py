"""RabbitMQ as the Broker, by pika, with the same Trigger files as the others."""

from eventing.brokers.rabbitmq.broker import RabbitBroker

__all__ = ["RabbitBroker"]

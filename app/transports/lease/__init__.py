"""Redis and Valkey under Celery with RabbitMQ's guarantees: a lease transport on kombu's extension points."""

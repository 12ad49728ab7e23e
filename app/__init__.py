"""Neo Alexandria: an event-driven knowledge library on Redis or RabbitMQ."""
